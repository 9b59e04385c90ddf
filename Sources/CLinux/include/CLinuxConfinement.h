// What a process gives up: identity, capabilities, the file system (Landlock), and what it wants to know about itself. Thin wrappers; the
// Landlock numbers are those of the kernel's uapi/linux/landlock.h, because the headers of the build host may be older than its kernel.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// setgroups(2), setresgid(2), setresuid(2): 0, or -1 with errno.
int pg_setgroups(size_t count, const gid_t *groups);
int pg_setresgid(gid_t real, gid_t effective, gid_t saved);
int pg_setresuid(uid_t real, uid_t effective, uid_t saved);
/// prctl(2) with two arguments; the others are 0.
int pg_prctl(int option, unsigned long first, unsigned long second);
/// Sets the calling thread's permitted and effective capabilities to `mask` (bit n: capability n), the inheritable ones to none.
int pg_capset(uint64_t mask);
/// Reads the effective capabilities of the calling thread.
int pg_capget(uint64_t *effective);

/// The Landlock version of the kernel, or -1 with errno (ENOSYS, EOPNOTSUPP: none).
int pg_landlock_version(void);
/// A new rule set that handles these rights, as a descriptor; `version` says how much of the structure the kernel knows.
int pg_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version);
/// Allows `rights` at and below the open file `fd`.
int pg_landlock_allow(int ruleset, uint64_t rights, int fd);
/// Allows `rights` (1: bind, 2: connect) for a TCP port, of this host or any other.
int pg_landlock_allow_port(int ruleset, uint64_t rights, uint16_t port);
int pg_landlock_restrict(int ruleset);

/// clone(2)'s flag of a thread.
#define PG_CLONE_THREAD 0x00010000
/// open(2) with O_PATH and O_CLOEXEC: names a file without opening it.
int pg_open_path(const char *path);
/// clone(2) as fork does it, socket(2) and execve(2): what a self-check tries, exactly that call. A child, should there be one, ends at once.
int pg_try_fork(void);
int pg_try_socket(int domain, int type);
int pg_try_execute(const char *path);

/// sendmsg(2) of `length` bytes, with the descriptor `passed` beside them (SCM_RIGHTS) unless it is negative. Never waits, never raises SIGPIPE.
ssize_t pg_send_descriptor(int fd, const void *bytes, size_t length, int passed);
/// recvmsg(2) that never waits; *passed is the descriptor that came along (close-on-exec), or -1. More than one are closed.
ssize_t pg_receive_descriptor(int fd, void *bytes, size_t length, int *passed);
/// Closes every descriptor from `first` to `last`; 0, or -1 with errno.
int pg_close_range(unsigned int first, unsigned int last);
