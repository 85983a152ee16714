#!/bin/sh
# Copies log, state and archive while everything but the keeper runs (stop it before, start it again after):
#
#   deploy/backup.sh LOG_FOLDER STATE_FOLDER ARCHIVE_FOLDER OUT
#
# State first, then log: whatever comes in meanwhile, the log reaches at least as far as the state. Without a keeper nothing is
# archived or trimmed, so that archive and log join without a gap. OUT must be new; deploy/restore.sh takes it.
set -eu
[ $# -eq 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
log=$1 state=$2 archive=$3 out=$4
mkdir "$out"

# A server's append-only files. One that is being rewritten meanwhile is copied again; a torn end is cut when it is loaded.
copy_server() { # folder, name
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf "$out/$2"
        mkdir "$out/$2"
        before=$(cat "$1"/appendonlydir/*.manifest)
        if cp -R "$1/appendonlydir" "$out/$2/" 2>/dev/null && [ "$before" = "$(cat "$1"/appendonlydir/*.manifest)" ] &&
            [ "$before" = "$(cat "$out/$2"/appendonlydir/*.manifest)" ]; then
            return 0
        fi
        sleep 1
    done
    echo "$1: its files were rewritten again and again while they were copied" >&2
    return 1
}

archived() {
    (cd "$archive" && find . -type f | sort)
}

archive_before=$(archived)
copy_server "$state" state
copy_server "$log" log
cp -R "$archive" "$out/archive"
if [ "$archive_before" != "$(archived)" ]; then
    echo "$archive has changed meanwhile: stop the keeper first. $out is of no use" >&2
    exit 1
fi
(cd "$out" && find . -type f ! -name SHA256SUMS -exec sha256sum {} + >SHA256SUMS)
echo "$out: $(du -sk "$out" | cut -f1) KB"
