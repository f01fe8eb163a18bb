#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, without a warning and without a byte of padding: as C11, C17 and
# C++17, and for 32 bit with uint64_t aligned to 4 and to 8 bytes (the seals are static asserts).
cd "${EMESH_SOURCE:?}/plugin-api/include" || exit 1
n=0
strict="-Wall -Wextra -pedantic -Werror -fsyntax-only -I."

can() { printf 'int x;\n' | $1 -fsyntax-only - 2>/dev/null; }

try() { # compiler, header, text
    extra=""
    case $2 in */glib.h) extra=$(pkg-config --cflags glib-2.0 | sed 's/-I/-isystem /g');; esac
    # shellcheck disable=SC2086
    out=$(printf '%b' "$3" | $1 $strict $extra - 2>&1) && echo "ok $n - $2: $1" && return
    echo "not ok $n - $2: $1"
    echo "$out" | sed 's/^/# /'
}

for compiler in "gcc -xc -std=c11 -Wpadded" "gcc -xc -std=c17" "g++ -xc++ -std=c++17" \
                "clang -xc -std=c11 -Wno-unused-function" \
                "gcc -xc -std=c11 -m32 -ffreestanding" \
                "gcc -xc -std=c11 -m32 -malign-double -ffreestanding"; do
    for header in eventmesh/*.h; do
        n=$((n + 1))
        case "$compiler $header" in *-m32*/glib.h)
            echo "ok $n - $header: $compiler # SKIP GLib is here for 64 bit only"; continue;;
        esac
        if ! can "$compiler"; then echo "ok $n - $header: $compiler # SKIP no such compiler"; continue; fi
        try "$compiler" "$header" "#include <$header>\n"
    done
done

# The whole of it together, with a table written the way the guide says.
n=$((n + 1))
try "gcc -xc -std=c11" eventmesh/eventmesh.h "#include <eventmesh/eventmesh.h>
extern const emesh_layout layout;
const emesh_layout layout = EMESH_LAYOUT;
EMESH_NOTE(0);
"
echo "1..$n"
