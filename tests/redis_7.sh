#!/bin/sh
# Unpacks Debian's Redis 7.0 and its few libraries into the folder $1, without root: a server to test against.
# The result is $1/redis-server. What stands in the way is said on stderr.
set -eu

fail() {
    echo "cannot test against Redis 7.0: $1" >&2
    exit 1
}

for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || fail "there is no $tool here; it comes from Debian 12's packages"
done

rm -rf "$1"
mkdir -p "$1/packages"
(
    cd "$1/packages"
    apt-get -qq -o APT::Sandbox::User="$(id -un)" download redis-server redis-tools libjemalloc2 liblzf1 libatomic1
) || fail "its packages cannot be downloaded (is there a network, and has apt-get update been run?)"
for package in "$1"/packages/*.deb; do
    dpkg -x "$package" "$1"
done

libraries=$(dirname "$(find "$1/usr/lib" -name 'libjemalloc.so*' | head -n 1)")
cat >"$1/server" <<END
#!/bin/sh
LD_LIBRARY_PATH='$(readlink -f "$libraries")' exec '$(readlink -f "$1")/usr/bin/redis-server' "\$@"
END
chmod +x "$1/server"
version=$("$1/server" --version) || fail "it does not start"
case $version in
*v=7.0.*) mv "$1/server" "$1/redis-server" ;;
*) fail "the packages of this system hold another one ($version)" ;;
esac
echo "$version" >&2
