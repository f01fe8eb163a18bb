/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of shared objects: note, dynamic symbols, needed libraries. A pure function over
 * (bytes, length); the file is nobody's friend, so every offset and count is held against len.
 */
#include "plugin/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin/loader.h"

#define FILE_MOST (UINT64_C(1) << 30)
#define FOREIGN_MOST 64u /* named in a warning; more is not more information */
#define NOTE_NAME "eventmesh"
#define ENTRY_NAME "emesh_plugin_entry_1"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MY_DATA ELFDATA2LSB
#else
#define MY_DATA ELFDATA2MSB
#endif
#define MY_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

typedef struct image {
    const uint8_t *bytes;
    size_t len;
    ElfW(Ehdr) head;
} image;

/* The bytes of a range, or NULL when it does not lie in the file. */
static const uint8_t *
at(const image *in, uint64_t offset, uint64_t len)
{
    return offset <= in->len && len <= in->len - offset ? in->bytes + offset : NULL;
}

static bool
section(const image *in, uint32_t i, ElfW(Shdr) *out)
{
    const uint8_t *p = i < in->head.e_shnum
                           ? at(in, in->head.e_shoff + (uint64_t)i * sizeof *out, sizeof *out)
                           : NULL;
    if (p != NULL)
        memcpy(out, p, sizeof *out);
    return p != NULL;
}

/* A string of a string table, NULL when it does not end inside it. */
static const char *
string(const image *in, uint32_t table, uint64_t offset)
{
    ElfW(Shdr) head;

    if (!section(in, table, &head) || head.sh_type != SHT_STRTAB || offset >= head.sh_size)
        return NULL;
    const uint8_t *p = at(in, head.sh_offset, head.sh_size);
    if (p == NULL || memchr(p + offset, '\0', head.sh_size - offset) == NULL)
        return NULL;
    return (const char *)p + offset;
}

/* ---- note ---- */

static void
read_note(const image *in, const ElfW(Shdr) *head, emesh_elf *out)
{
    uint32_t words[3], numbers[3];
    uint64_t offset = 0;
    const uint8_t *p;

    /* A file may carry a note per ABI it offers: the one of this host's major counts. */
    while (offset + sizeof words <= head->sh_size &&
           (p = at(in, head->sh_offset + offset, sizeof words)) != NULL) {
        memcpy(words, p, sizeof words);
        uint64_t name = offset + sizeof words;
        uint64_t desc = name + (((uint64_t)words[0] + 3) & ~UINT64_C(3));
        offset = desc + (((uint64_t)words[1] + 3) & ~UINT64_C(3));
        if (offset > head->sh_size || words[0] != sizeof NOTE_NAME || words[1] < sizeof numbers ||
            words[2] != 1)
            continue;
        p = at(in, head->sh_offset + name, sizeof NOTE_NAME);
        if (p == NULL || memcmp(p, NOTE_NAME, sizeof NOTE_NAME) != 0)
            continue;
        p = at(in, head->sh_offset + desc, sizeof numbers);
        if (p == NULL || (out->has_note && out->major == EMESH_ABI_MAJOR))
            continue;
        memcpy(numbers, p, sizeof numbers);
        out->has_note = true;
        out->major = numbers[0];
        out->minor = numbers[1];
        out->oldest = numbers[2];
    }
}

/* ---- symbols ---- */

/* What linkers, compilers and sanitizers put there is nobody's export. */
static bool
is_furniture(const char *name)
{
    static const char *const names[] = { "_init", "_fini", "_edata", "_end", "__bss_start" };
    static const char *const starts[] = { "__asan_", "__ubsan_", "__tsan_", "__odr_asan",
                                          "__sanitizer_", "__lsan_", "__gcov", "__llvm_" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
        if (g_str_has_prefix(name, starts[i]))
            return true;
    return false;
}

static void
read_symbol(const char *name, emesh_elf *out)
{
    if (strcmp(name, ENTRY_NAME) == 0) {
        out->has_entry = true;
    } else if (g_str_has_prefix(name, "emesh_")) {
        if (out->second == NULL)
            out->second = g_strdup(name);
    } else if (!is_furniture(name) && out->foreign->len < FOREIGN_MOST) {
        g_ptr_array_add(out->foreign, g_strdup(name));
    }
}

static bool
read_symbols(const image *in, const ElfW(Shdr) *head, emesh_elf *out)
{
    const uint8_t *p = at(in, head->sh_offset, head->sh_size);

    if (p == NULL)
        return false;
    for (uint64_t i = 1; i < head->sh_size / sizeof(ElfW(Sym)); i++) {
        ElfW(Sym) symbol;
        memcpy(&symbol, p + i * sizeof symbol, sizeof symbol);
        unsigned bind = symbol.st_info >> 4;
        if (symbol.st_shndx == SHN_UNDEF || (bind != STB_GLOBAL && bind != STB_WEAK) ||
            (symbol.st_other & 3) == STV_HIDDEN)
            continue;
        const char *name = string(in, head->sh_link, symbol.st_name);
        if (name == NULL)
            return false;
        read_symbol(name, out);
    }
    return true;
}

static bool
read_dynamic(const image *in, const ElfW(Shdr) *head, emesh_elf *out)
{
    const uint8_t *p = at(in, head->sh_offset, head->sh_size);

    if (p == NULL)
        return false;
    for (uint64_t i = 0; i < head->sh_size / sizeof(ElfW(Dyn)); i++) {
        ElfW(Dyn) entry;
        memcpy(&entry, p + i * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag != DT_NEEDED)
            continue;
        const char *name = string(in, head->sh_link, entry.d_un.d_val);
        if (name == NULL)
            return false;
        out->links_glib = out->links_glib || g_str_has_prefix(name, "libglib-2.0.so");
    }
    return true;
}

/* ---- the file ---- */

static bool
read_head(image *in, const char **why)
{
    if (in->len < sizeof in->head || memcmp(in->bytes, ELFMAG, SELFMAG) != 0) {
        *why = "it is not an ELF file";
        return false;
    }
    memcpy(&in->head, in->bytes, sizeof in->head);
    *why = NULL;
    if (in->head.e_ident[EI_CLASS] != MY_CLASS || in->head.e_ident[EI_DATA] != MY_DATA)
        *why = "it is for another word size or byte order";
    else if (in->head.e_type != ET_DYN)
        *why = "it is not a shared object";
    else if (in->head.e_shentsize != sizeof(ElfW(Shdr)) || in->head.e_shnum == 0)
        *why = "it has no section table";
    return *why == NULL;
}

bool
emesh_elf_parse(const uint8_t *bytes, size_t len, emesh_elf *out, const char **why)
{
    image in = { .bytes = bytes, .len = len };
    bool symbols = false;

    memset(out, 0, sizeof *out);
    out->foreign = g_ptr_array_new_with_free_func(g_free);
    if (!read_head(&in, why))
        return false;
    for (uint32_t i = 0; i < in.head.e_shnum; i++) {
        ElfW(Shdr) head;
        bool fine = section(&in, i, &head);
        if (fine && head.sh_type == SHT_NOTE)
            read_note(&in, &head, out);
        else if (fine && head.sh_type == SHT_DYNSYM)
            fine = symbols = read_symbols(&in, &head, out);
        else if (fine && head.sh_type == SHT_DYNAMIC)
            fine = read_dynamic(&in, &head, out);
        if (!fine) {
            *why = "it is cut off or damaged";
            return false;
        }
    }
    if (!symbols)
        *why = "it has no dynamic symbols";
    return symbols;
}

void
emesh_elf_clear(emesh_elf *elf)
{
    g_clear_pointer(&elf->second, g_free);
    g_clear_pointer(&elf->foreign, g_ptr_array_unref);
}

/* The machine of the running program, as its own file says. */
static bool
is_my_machine(uint16_t machine)
{
    ElfW(Ehdr) self;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? pread(fd, &self, sizeof self, 0) : -1;

    if (fd >= 0)
        close(fd);
    return n != (ssize_t)sizeof self || self.e_machine == machine; /* dlopen has the last word */
}

static bool
refuse_elf(const char *path, const char *why, GError **error)
{
    g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NOT_ELF,
                "E%02d %s: no plugin for this host: %s", EMESH_REFUSED_NOT_ELF, path, why);
    return false;
}

bool
emesh_elf_read(const char *path, emesh_elf *out, struct stat *st, GError **error)
{
    struct stat mine;
    const char *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    memset(out, 0, sizeof *out);
    st = st != NULL ? st : &mine;
    if (fd < 0 || fstat(fd, st) != 0) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NOT_FOUND, "E%02d %s: cannot open it: %s",
                    EMESH_REFUSED_NOT_FOUND, path, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    size_t len = S_ISREG(st->st_mode) && (uint64_t)st->st_size <= FILE_MOST ? (size_t)st->st_size
                                                                            : 0;
    void *map = len > 0 ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (map == MAP_FAILED)
        return refuse_elf(path, "it is empty, too large or no regular file", error);
    bool fine = emesh_elf_parse(map, len, out, &why);
    if (fine && !is_my_machine(((const ElfW(Ehdr) *)map)->e_machine)) {
        fine = false;
        why = "it is for another machine";
    }
    munmap(map, len);
    return fine || refuse_elf(path, why, error);
}

/* ---- what is refused without running it ---- */

static bool
place_is_safe(const char *what, const char *path, const struct stat *st, GError **error)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_WRITABLE,
                    "E%02d %s: %s belongs to user %u, neither root nor the daemon's: chown it",
                    EMESH_REFUSED_WRITABLE, path, what, (unsigned)st->st_uid);
        return false;
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_WRITABLE,
                    "E%02d %s: %s may be written by others (mode %03o): chmod go-w it",
                    EMESH_REFUSED_WRITABLE, path, what, (unsigned)st->st_mode & 0777u);
        return false;
    }
    return true;
}

static bool
folder_is_safe(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    struct stat st;

    if (stat(folder, &st) != 0) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NOT_FOUND, "E%02d %s: %s: %s",
                    EMESH_REFUSED_NOT_FOUND, path, folder, g_strerror(errno));
        return false;
    }
    return place_is_safe("its folder", path, &st, error);
}

static bool
note_is_right(const char *path, const emesh_elf *elf, GError **error)
{
    if (!elf->has_note)
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NO_NOTE,
                    "E%02d %s: it has no note of EventMesh, so it is no plugin, or one built "
                    "without EMESH_NOTE(): rebuild it",
                    EMESH_REFUSED_NO_NOTE, path);
    else if (elf->major != EMESH_ABI_MAJOR)
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_MAJOR,
                    "E%02d %s: built for plugin ABI %u.%u, this host has %u.%u: install its build "
                    "for ABI %u",
                    EMESH_REFUSED_MAJOR, path, elf->major, elf->minor, EMESH_ABI_MAJOR,
                    EMESH_ABI_MINOR, EMESH_ABI_MAJOR);
    else if (elf->oldest > EMESH_ABI_MINOR)
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_MINOR,
                    "E%02d %s: built for plugin ABI %u.%u and works from %u.%u on, this host has "
                    "%u.%u: update the host",
                    EMESH_REFUSED_MINOR, path, elf->major, elf->minor, elf->major, elf->oldest,
                    EMESH_ABI_MAJOR, EMESH_ABI_MINOR);
    else
        return true;
    return false;
}

bool
emesh_elf_check(const char *path, emesh_elf *out, struct stat *st, GError **error)
{
    struct stat mine;

    st = st != NULL ? st : &mine;
    if (!emesh_elf_read(path, out, st, error) || !place_is_safe("it", path, st, error) ||
        !folder_is_safe(path, error) || !note_is_right(path, out, error))
        return false;
    if (out->second != NULL) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_EXPORTS,
                    "E%02d %s: exports %s, and only " ENTRY_NAME " may begin with emesh_: build it "
                    "with -fvisibility=hidden",
                    EMESH_REFUSED_EXPORTS, path, out->second);
        return false;
    }
    if (!out->has_entry) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NO_ENTRY,
                    "E%02d %s: does not export " ENTRY_NAME ": write EMESH_ENTRY(), of default "
                    "visibility",
                    EMESH_REFUSED_NO_ENTRY, path);
        return false;
    }
    return true;
}
