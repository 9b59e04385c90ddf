// System calls and macros that the Glibc module of Swift does not import: it is built without _GNU_SOURCE, and Swift
// does not import variadic functions or function-like macros. Thin wrappers only; no logic of ours lives here.
// The header must not define _GNU_SOURCE: types would then differ from those of the Glibc module.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include "CLinuxConfinement.h"
#include "CLinuxHostActions.h"

const void *pg_memrchr(const void *s, int c, size_t n);
const void *pg_memmem(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);

/// Asks for the cache line of an address that will be read soon; any address is allowed.
static inline void pg_prefetch(const void *address) { __builtin_prefetch(address); }

/// open(2) with O_CLOEXEC.
int pg_open(const char *path, int flags, mode_t mode);
/// Columns of the terminal behind `fd`, or 0.
int pg_terminal_columns(int fd);
/// Peer credentials of a connected AF_UNIX socket (SO_PEERCRED). 0 on success, -1 with errno.
int pg_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid);
/// Gives memory that was freed back to the kernel (malloc_trim).
void pg_release_free_memory(void);
FILE *pg_stderr(void);
FILE *pg_stdout(void);
/// unshare(CLONE_NEWNET): a network namespace of its own for this process and its children. 0 on success, -1 with errno.
int pg_new_network_namespace(void);
