#define _GNU_SOURCE
#include "CLinuxHostActions.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "CLinuxConfinement.h"

// Numbers that every architecture shares.
#define PG_PIDFD_SEND_SIGNAL 424
#define PG_PIDFD_OPEN 434
#define PG_OPENAT2 437
struct pg_open_how {
  uint64_t flags, mode, resolve;
};

int pg_pidfd_open(pid_t pid) { return (int)syscall(PG_PIDFD_OPEN, pid, 0U); }
int pg_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(PG_PIDFD_SEND_SIGNAL, pidfd, signal, NULL, 0U); }

int pg_openat2(int directory, const char *path, int flags, int beneath) {
  struct pg_open_how how = {(uint64_t)(flags | O_CLOEXEC), 0, 0x02 | 0x04 | (beneath ? 0x08 : 0)};
  return (int)syscall(PG_OPENAT2, directory, path, &how, sizeof how);
}
int pg_rename_exclusively(int from_directory, const char *from, int to_directory, const char *to) {
  return renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE);
}
int pg_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
ssize_t pg_flistxattr(int fd, char *names, size_t size) { return flistxattr(fd, names, size); }
ssize_t pg_fgetxattr(int fd, const char *name, void *value, size_t size) { return fgetxattr(fd, name, value, size); }
int pg_fsetxattr(int fd, const char *name, const void *value, size_t size) { return fsetxattr(fd, name, value, size, 0); }

static int limit(int resource, uint64_t value) {
  struct rlimit bound = {value, value};
  return setrlimit(resource, &bound);
}

// Behind fork: nothing here allocates or takes a lock.
static void become(const struct pg_spawn *s) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < 65; number++) signal(number, SIG_DFL);
  if (setsid() < 0) return;
  // Out of the way of 0 to 3 first.
  int program = fcntl(s->program, F_DUPFD_CLOEXEC, 10), input = fcntl(s->input, F_DUPFD_CLOEXEC, 10);
  int output = fcntl(s->output, F_DUPFD_CLOEXEC, 10);
  if (program < 0 || input < 0 || output < 0) return;
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(program, 3) < 0) return;
  if (pg_close_range(4, ~0U) != 0 || chdir("/") != 0) return;
  umask(077);
  if (limit(RLIMIT_CORE, 0) || limit(RLIMIT_CPU, s->processor_seconds) || limit(RLIMIT_FSIZE, s->file_bytes) ||
      limit(RLIMIT_AS, s->memory_bytes) || limit(RLIMIT_NOFILE, s->open_files))
    return;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  if (s->changes_identity) {
    if (s->user != 0 && setgroups(0, NULL) != 0 && errno != EPERM) return;
    if (setresgid(s->group, s->group, s->group) != 0 || setresuid(s->user, s->user, s->user) != 0) return;
  }
  // Counted for the user that it now is.
  if (s->processes > 0 && limit(RLIMIT_NPROC, s->processes)) return;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (pg_capset(s->capabilities) != 0) return;
  // After the identity: changing that takes it back.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return;
  sigprocmask(SIG_SETMASK, &none, NULL);
  syscall(SYS_execveat, 3, "", s->arguments, s->environment, AT_EMPTY_PATH);
}

pid_t pg_spawn_bare(const struct pg_spawn *spawn) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  become(spawn);
  _exit(127);
}
