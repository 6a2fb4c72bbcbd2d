// SPDX-License-Identifier: Apache-2.0
// Owns a library to preload into a node: its disk is full, or cannot be flushed, while the file
// that MILLRACE_FAILING_DISK_STATE names begins with 'f' (full) or 's' (sync).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static char state(void) {
    const char* path = getenv("MILLRACE_FAILING_DISK_STATE");
    char c = 0;
    if (path == NULL) { return 0; }
    const int saved = errno;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &c, 1) != 1) { c = 0; }
        close(fd);
    }
    errno = saved;
    return c;
}

static int fails(char fault, int error) {
    if (state() != fault) { return 0; }
    errno = error;
    return 1;
}

// What is written through io_uring passes no function that could be replaced: the node is refused
// it and writes its log by plain calls.
__attribute__((constructor)) static void refuse_io_uring(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        abort();
    }
}

ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
    static ssize_t (*next)(int, const void*, size_t, off_t);
    if (next == NULL) {
        next = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    }
    return fails('f', ENOSPC) ? -1 : next(fd, data, bytes, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
    static int (*next)(int, int, off_t, off_t);
    if (next == NULL) { next = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate"); }
    return fails('f', ENOSPC) ? -1 : next(fd, mode, offset, bytes);
}

int statvfs(const char* restrict path, struct statvfs* restrict found) {
    static int (*next)(const char*, struct statvfs*);
    if (next == NULL) { next = (int (*)(const char*, struct statvfs*))dlsym(RTLD_NEXT, "statvfs"); }
    const int r = next(path, found);
    if (r == 0 && state() == 'f') { found->f_bavail = found->f_bfree = 0; }
    return r;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (next == NULL) { next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync"); }
    return fails('s', EIO) ? -1 : next(fd);
}

int fsync(int fd) {
    static int (*next)(int);
    if (next == NULL) { next = (int (*)(int))dlsym(RTLD_NEXT, "fsync"); }
    return fails('s', EIO) ? -1 : next(fd);
}
