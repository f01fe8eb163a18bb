#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The template as a third party has it: headers and .pc from a staged install, nothing else of this
# tree; then what it built is loaded, and what it says about itself is true.
# Arguments: the probe (test-loader), and eventmeshd.
probe=$(realpath "$1") daemon=$(realpath "$2")
stage=$(mktemp -d) || exit 1
trap 'rm -rf "$stage"' EXIT
n=0

result() { # status, name
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$stage/log"; fi
}

meson install -C "${EMESH_BUILD:?}" --no-rebuild --tags devel --destdir "$stage/root" >"$stage/log" 2>&1
result $? "headers and .pc are installed by the tag devel"

pc=$(find "$stage/root" -name eventmesh-plugin.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
PKG_CONFIG_SYSROOT_DIR=$stage/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
cp -r "${EMESH_SOURCE:?}/plugin-api/template" "$stage/mine"
cd "$stage/mine" || exit 1

# the first of the four lines of the README, as it stands there
line=$(sed -n 's/^    \(cc .*\)/\1/p' "$EMESH_SOURCE/plugin-api/README.md")
sh -ec "$line" >"$stage/log" 2>&1
result $? "the README's one line builds it"
"$probe" --probe "$stage/mine/protocol-lines.so" >"$stage/log" 2>&1
result $? "what the line built is a plugin"

CFLAGS=-Werror meson setup build --prefix=/usr >"$stage/log" 2>&1 &&
    meson compile -C build >>"$stage/log" 2>&1
result $? "meson builds it, without a warning"
"$probe" --probe "$stage/mine/build/protocol-lines.so" >"$stage/log" 2>&1
result $? "what meson built is a plugin"

DESTDIR=$stage/out meson install -C build >"$stage/log" 2>&1 &&
    so=$(find "$stage/out" -path '*/eventmesh/plugins-1/protocol-lines.so') && [ -n "$so" ] &&
    conf=$(find "$stage/out" -name 60-protocol-lines.conf) && [ -n "$conf" ]
result $? "it installs where the daemon looks"

mkdir "$stage/conf"
sed 's/^enabled = false/enabled = true/' "$stage/mine/protocol-lines.conf" >"$stage/conf/60-protocol-lines.conf"
chmod -R go-w "$stage"
"$daemon" --check-config --conf "$stage/conf" --plugin-dir "$(dirname "$so")" --data "$stage/data" \
    --run "$stage/run" >"$stage/log" 2>&1
result $? "the daemon accepts it with its sample"
python3 "$EMESH_SOURCE/tests/abi/template-run.py" "$(dirname "$so")" "$EMESH_BUILD/tests/abi" \
    >"$stage/log" 2>&1
result $? "it carries lines from a client to a store, and answers"
printf 'max-lines = 3\n' >>"$stage/conf/60-protocol-lines.conf"
! "$daemon" --check-config --conf "$stage/conf" --plugin-dir "$(dirname "$so")" --data "$stage/data" \
    --run "$stage/run" >"$stage/log" 2>&1 && grep -q 'max-line' "$stage/log"
result $? "the daemon names a mistyped option"
echo "1..$n"
