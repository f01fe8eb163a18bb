/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of attribute names and values. Pure functions over (pointer, length), any thread.
 */
#include "event/attr.h"
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NAME_MAX_BYTES 128u
#define IS(name, len, text) ((len) == sizeof(text) - 1 && memcmp(name, text, sizeof(text) - 1) == 0)

bool
emesh_attr_name_ok(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    static const uint8_t legal[256] = { ['0' ... '9'] = 1, ['a' ... 'z'] = 1 };
    uint32_t all = 1;
    for (size_t i = 0; i < len; i++)
        all &= legal[(uint8_t)name[i]];
    return all && !IS(name, len, "data");
}

emesh_attr_kind
emesh_attr_kind_of(const char *name, size_t len)
{
    switch (len) {
    case 2:
        return IS(name, len, "id") ? EMESH_ATTR_IS_ID : EMESH_ATTR_EXTENSION;
    case 4:
        if (IS(name, len, "type"))
            return EMESH_ATTR_IS_TYPE;
        return IS(name, len, "time") ? EMESH_ATTR_IS_TIME : EMESH_ATTR_EXTENSION;
    case 6:
        return IS(name, len, "source") ? EMESH_ATTR_IS_SOURCE : EMESH_ATTR_EXTENSION;
    case 7:
        return IS(name, len, "subject") ? EMESH_ATTR_IS_SUBJECT : EMESH_ATTR_EXTENSION;
    case 10:
        return IS(name, len, "dataschema") ? EMESH_ATTR_IS_SCHEMA : EMESH_ATTR_EXTENSION;
    case 11:
        return IS(name, len, "specversion") ? EMESH_ATTR_IS_SPECVERSION : EMESH_ATTR_EXTENSION;
    case 15:
        return IS(name, len, "datacontenttype") ? EMESH_ATTR_IS_CONTENT_TYPE : EMESH_ATTR_EXTENSION;
    default:
        return EMESH_ATTR_EXTENSION;
    }
}

/* How many bytes at p are plain ASCII, in wide steps; nul says whether a zero byte is plain. */
static size_t
plain_bytes(const char *p, size_t len, bool nul)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t at = 0;
#ifdef __SSE2__
    for (; nul && at + 64 <= len; at += 64) {
        const __m128i *v = (const __m128i *)(const void *)(p + at);
        __m128i a = _mm_or_si128(_mm_loadu_si128(v), _mm_loadu_si128(v + 1));
        __m128i b = _mm_or_si128(_mm_loadu_si128(v + 2), _mm_loadu_si128(v + 3));
        if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0)
            break;
    }
#endif
    for (; at + 8 <= len; at += 8) {
        uint64_t w;
        memcpy(&w, p + at, 8);
        if (((nul ? w : (w - ones) | w) & tops) != 0)
            break;
    }
    return at;
}

bool
emesh_text_ok(const void *text, size_t len)
{
    size_t at = plain_bytes(text, len, false);
    while (at < len && ((const signed char *)text)[at] > 0)
        at++;
    return at == len || g_utf8_validate_len((const char *)text + at, len - at, NULL);
}

bool
emesh_utf8_ok(const void *text, size_t len)
{
    const char *end = (const char *)text + len;
    const char *p = (const char *)text + plain_bytes(text, len, true);
    while (p < end && !g_utf8_validate_len(p, (size_t)(end - p), &p)) {
        if (*p != '\0')
            return false;
        p++;
    }
    return true;
}

bool
emesh_type_is_json(const char *text, size_t len)
{
    const char *params = memchr(text, ';', len);
    if (params != NULL)
        len = (size_t)(params - text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len < 5 || memchr(text, '/', len) == NULL)
        return false;
    const char *end = text + len - 5;
    return (*end == '/' || *end == '+') && g_ascii_strncasecmp(end + 1, "json", 4) == 0;
}

static bool
integer_ok(const char *p, size_t len)
{
    bool minus = len > 0 && *p == '-';
    const char *first = p + minus;
    size_t n = len - minus;
    if (n == 0 || n > 10 || (*first == '0' && (n > 1 || minus)))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (first[i] < '0' || first[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(first[i] - '0');
    }
    return value <= (uint64_t)INT32_MAX + minus;
}

static bool
has_scheme(const char *p, size_t len)
{
    if (len == 0 || !g_ascii_isalpha(*p))
        return false;
    for (size_t i = 1; i < len; i++) {
        if (p[i] == ':')
            return true;
        if (!g_ascii_isalnum(p[i]) && p[i] != '+' && p[i] != '-' && p[i] != '.')
            return false;
    }
    return false;
}

/* NULL: fine. */
static const char *
value_flaw(const emesh_attr *attr)
{
    const char *value = attr->value;
    size_t len = attr->value_len;
    switch (attr->type) {
    case EMESH_ATTR_BINARY:
        return NULL;
    case EMESH_ATTR_INTEGER:
        return integer_ok(value, len) ? NULL : "is not an integer of 32 bits";
    case EMESH_ATTR_BOOLEAN:
        return IS(value, len, "true") || IS(value, len, "false") ? NULL : "is not true or false";
    case EMESH_ATTR_TIME:
        return emesh_time_ok(value, len) ? NULL : "is not a time of RFC 3339";
    case EMESH_ATTR_URI:
        if (!has_scheme(value, len))
            return "is not an absolute URI";
        break;
    case EMESH_ATTR_URI_REF:
        if (len == 0)
            return "is empty";
        break;
    default:
        break;
    }
    return emesh_text_ok(value, len) ? NULL : "is not UTF-8, or contains a zero byte";
}

/* The specification's own attributes have the specification's types, whatever the protocol could
 * tell of them: so all ways into the mesh make the same event. */
static const char *
settle_type(emesh_attr *attr, emesh_attr_kind kind)
{
    uint32_t type = EMESH_ATTR_TEXT;
    switch (kind) {
    case EMESH_ATTR_EXTENSION:
        return NULL;
    case EMESH_ATTR_IS_SOURCE:
        type = EMESH_ATTR_URI_REF;
        break;
    case EMESH_ATTR_IS_TIME:
        type = EMESH_ATTR_TIME;
        break;
    case EMESH_ATTR_IS_SCHEMA:
        /* A protobuf type URL lives here and has no scheme. */
        type = has_scheme(attr->value, attr->value_len) ? EMESH_ATTR_URI : EMESH_ATTR_URI_REF;
        break;
    default:
        break;
    }
    bool told = attr->type != EMESH_ATTR_TEXT && attr->type != EMESH_ATTR_URI &&
                attr->type != EMESH_ATTR_URI_REF && attr->type != EMESH_ATTR_TIME;
    if (told)
        return "has a type that its name does not allow";
    attr->type = type;
    return attr->value_len == 0 ? "is empty" : NULL;
}

int32_t
emesh_attr_check_name(const emesh_attr *attr, emesh_error *err)
{
    if (attr->name == NULL && attr->name_len > 0)
        return emesh_fail(err, EMESH_E_INVALID, "attribute name without memory");
    if (emesh_attr_name_ok(attr->name, attr->name_len))
        return EMESH_OK;
    return emesh_fail(err, EMESH_E_INVALID,
                      "attribute name \"%.*s\" is not of a-z and 0-9 (1 to 128 of them, and not "
                      "\"data\")",
                      (int)MIN(attr->name_len, 40u), attr->name);
}

int32_t
emesh_attr_check(emesh_attr *attr, emesh_attr_kind kind, emesh_error *err)
{
    int32_t code = emesh_attr_check_name(attr, err);
    if (code != EMESH_OK)
        return code;
    int shown = (int)MIN(attr->name_len, 40u);
    if (attr->value == NULL && attr->value_len > 0)
        return emesh_fail(err, EMESH_E_INVALID, "attribute %.*s without memory", shown, attr->name);
    if (attr->type > EMESH_ATTR_TIME || attr->zero != 0)
        return emesh_fail(err, EMESH_E_TOO_NEW, "attribute %.*s: type %u is unknown here", shown,
                          attr->name, attr->type);
    const char *flaw = settle_type(attr, kind);
    if (flaw == NULL)
        flaw = value_flaw(attr);
    if (flaw == NULL)
        return EMESH_OK;
    return emesh_fail(err, EMESH_E_INVALID, "attribute %.*s \"%.*s\" %s", shown, attr->name,
                      (int)MIN(attr->value_len, 80u), (const char *)attr->value, flaw);
}

/* ---- names ---- */

/* Cheap, for the mask. */
static inline uint64_t
bit_of(const char *name, uint32_t len)
{
    if (len == 0)
        return 1;
    uint32_t first = (uint8_t)name[0], last = (uint8_t)name[len - 1];
    return 1ull << ((len * 7 + first * 3 + last * 5) & 63);
}

/* Thorough, for the table. */
static inline uint32_t
slot_of(const char *name, uint32_t len)
{
    uint32_t h = 2166136261u ^ len;
    for (uint32_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    return (h ^ (h >> 15)) % EMESH_NAMES_SLOTS;
}

void
emesh_names_init(emesh_names *names)
{
    names->mask = 0;
    names->n = 0;
}

static inline bool
same_name(const emesh_attr *attr, const char *name, uint32_t len)
{
    return attr->name_len == len && memcmp(attr->name, name, len) == 0;
}

int32_t
emesh_names_find(const emesh_names *names, const emesh_attr *attrs, const char *name, uint32_t len)
{
    if ((names->mask & bit_of(name, len)) == 0)
        return -1;
    if (names->n <= EMESH_NAMES_LINEAR) {
        for (uint32_t i = 0; i < names->n; i++) {
            if (same_name(&attrs[i], name, len))
                return (int32_t)i;
        }
        return -1;
    }
    uint32_t at = slot_of(name, len);
    for (; names->slots[at] != 0; at = (at + 1) % EMESH_NAMES_SLOTS) {
        uint32_t i = names->slots[at] - 1u;
        if (same_name(&attrs[i], name, len))
            return (int32_t)i;
    }
    return -1;
}

static void
place(emesh_names *names, const emesh_attr *attrs, uint32_t index)
{
    uint32_t at = slot_of(attrs[index].name, attrs[index].name_len);
    while (names->slots[at] != 0)
        at = (at + 1) % EMESH_NAMES_SLOTS;
    names->slots[at] = (uint16_t)(index + 1);
}

void
emesh_names_add(emesh_names *names, const emesh_attr *attrs)
{
    uint32_t index = names->n++;
    names->mask |= bit_of(attrs[index].name, attrs[index].name_len);
    if (names->n <= EMESH_NAMES_LINEAR)
        return;
    if (names->n > EMESH_NAMES_LINEAR + 1) {
        place(names, attrs, index);
        return;
    }
    memset(names->slots, 0, sizeof names->slots);
    for (uint32_t i = 0; i <= index; i++)
        place(names, attrs, i);
}
