#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

const void *pg_memrchr(const void *s, int c, size_t n) { return memrchr(s, c, n); }
const void *pg_memmem(const void *h, size_t hn, const void *n, size_t nn) { return memmem(h, hn, n, nn); }

int pg_open(const char *path, int flags, mode_t mode) { return open(path, flags | O_CLOEXEC, mode); }

int pg_terminal_columns(int fd) {
  struct winsize w;
  return ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

int pg_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid) {
  struct ucred c;
  socklen_t n = sizeof c;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0) return -1;
  *pid = c.pid;
  *uid = c.uid;
  *gid = c.gid;
  return 0;
}

FILE *pg_stderr(void) { return stderr; }
FILE *pg_stdout(void) { return stdout; }

void pg_release_free_memory(void) { malloc_trim(0); }

int pg_new_network_namespace(void) { return unshare(CLONE_NEWNET); }
