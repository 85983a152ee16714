/* Preloaded into a process under test. It does what the environment names:
 *
 *   SHIM_SYNCED   a file. (inode, length), two 64-bit integers, are appended to it whenever a regular file was synced
 *                 up to that length, and with length 0 when one was opened empty. So a power cut is: kill, then cut
 *                 every file at the last length that stands here.
 *   SHIM_CONTROL  a file of two 64-bit integers, mapped, so that they can be changed while the process runs:
 *                 seconds to add to the wall clock; and, if not 0, every write to a regular file fails with ENOSPC.
 *
 * Names of files (rename, unlink) count as durable at once. What the C library writes behind fwrite is not refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int synced_file = -1;
static volatile int64_t nothing[2];
static volatile int64_t *control = nothing;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_SYNCED");
    if (path) synced_file = openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    path = getenv("SHIM_CONTROL");
    int file = path ? openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof nothing, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(file);
}

/* Disk */

static int regular(int file, struct stat *found) { return fstat(file, found) == 0 && S_ISREG(found->st_mode); }

static void note(uint64_t inode, uint64_t length) {
    uint64_t line[2] = {inode, length};
    int before = errno;
    if (write(synced_file, line, sizeof line) != sizeof line) abort();
    errno = before;
}

static int sync_and_note(int file, int (*sync)(int)) {
    struct stat before;
    int noted = synced_file >= 0 && regular(file, &before);
    int result = sync(file);
    if (noted && result == 0) note(before.st_ino, before.st_size);
    return result;
}

int fsync(int file) {
    REAL(fsync);
    return sync_and_note(file, real);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return sync_and_note(file, real);
}

static void note_if_empty(int file) {
    struct stat found;
    if (file >= 0 && synced_file >= 0 && regular(file, &found) && found.st_size == 0) note(found.st_ino, 0);
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        int file = real(path, flags, mode_of(flags, rest)); \
        va_end(rest); \
        if (flags & O_CREAT) note_if_empty(file); \
        return file; \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        FILE *file = real(path, mode); \
        if (file && mode[0] != 'r') note_if_empty(fileno(file)); \
        return file; \
    }
FOPEN(fopen)
FOPEN(fopen64)

static int refused(int file) {
    struct stat found;
    if (!control[1] || !regular(file, &found)) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int file, const void *bytes, size_t count) {
    REAL(write);
    return file != synced_file && refused(file) ? -1 : real(file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    return refused(file) ? -1 : real(file, parts, count);
}

/* Clock */

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control[0];
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(now, zone);
    if (result == 0) now->tv_sec += control[0];
    return result;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}
