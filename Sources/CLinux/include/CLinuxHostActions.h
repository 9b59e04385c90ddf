// What acting on the host takes: processes by descriptor, files by descriptor, and a program that is started with nothing but what it is
// given. Thin wrappers, but for `pg_spawn_bare`: what happens between fork and exec may allocate nothing, so that it cannot be Swift.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// pidfd_open(2), pidfd_send_signal(2): a descriptor or 0, or -1 with errno.
int pg_pidfd_open(pid_t pid);
int pg_pidfd_send_signal(int pidfd, int signal);

/// openat2(2) with RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS, and with RESOLVE_BENEATH if `beneath`; O_CLOEXEC is added.
int pg_openat2(int directory, const char *path, int flags, int beneath);
/// renameat2(2) with RENAME_NOREPLACE.
int pg_rename_exclusively(int from_directory, const char *from, int to_directory, const char *to);
/// A file in memory that a child can read (memfd_create(2), close-on-exec).
int pg_memory_file(const char *name);
/// flistxattr(2), fgetxattr(2), fsetxattr(2).
ssize_t pg_flistxattr(int fd, char *names, size_t size);
ssize_t pg_fgetxattr(int fd, const char *name, void *value, size_t size);
int pg_fsetxattr(int fd, const char *name, const void *value, size_t size);

#define PG_O_PATH 010000000
#define PG_O_DIRECTORY 0200000
#define PG_O_NOFOLLOW 0400000

struct pg_spawn {
  int program;  // an open file; it becomes the child's descriptor 3, because an interpreter opens it by that
  char *const *arguments;
  char *const *environment;
  int input;   // becomes 0
  int output;  // becomes 1 and 2
  uid_t user;
  gid_t group;
  int changes_identity;   // 0: it stays who the parent is
  uint64_t capabilities;  // bit n: capability n is kept; user 0 keeps them over the exec
  uint64_t processor_seconds, file_bytes, memory_bytes, processes, open_files;
};
/// Starts it: a session of its own, root directory, umask 077, no other descriptor, no group, no_new_privs, the limits above, killed with
/// its parent. The process id, or -1 with errno. What fails in the child ends it with status 127.
pid_t pg_spawn_bare(const struct pg_spawn *spawn);
