#define _GNU_SOURCE
#include "CLinuxConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int pg_setgroups(size_t count, const gid_t *groups) { return setgroups(count, groups); }
int pg_setresgid(gid_t real, gid_t effective, gid_t saved) { return setresgid(real, effective, saved); }
int pg_setresuid(uid_t real, uid_t effective, uid_t saved) { return setresuid(real, effective, saved); }
int pg_prctl(int option, unsigned long first, unsigned long second) { return prctl(option, first, second, 0UL, 0UL); }

int pg_capset(uint64_t mask) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)mask, (uint32_t)mask, 0},
      {(uint32_t)(mask >> 32), (uint32_t)(mask >> 32), 0},
  };
  return (int)syscall(SYS_capset, &header, data);
}
int pg_capget(uint64_t *effective) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_capget, &header, data) != 0) return -1;
  *effective = (uint64_t)data[1].effective << 32 | data[0].effective;
  return 0;
}

// Numbers that every architecture shares.
#define PG_LANDLOCK_CREATE_RULESET 444
#define PG_LANDLOCK_ADD_RULE 445
#define PG_LANDLOCK_RESTRICT_SELF 446
struct pg_ruleset {
  uint64_t files, network, scopes;
};
struct pg_path_rule {
  uint64_t rights;
  int32_t fd;
} __attribute__((packed));

int pg_landlock_version(void) { return (int)syscall(PG_LANDLOCK_CREATE_RULESET, NULL, 0, 1U); }
int pg_landlock_create(uint64_t files, uint64_t network, uint64_t scopes, int version) {
  struct pg_ruleset set = {files, network, scopes};
  size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  return (int)syscall(PG_LANDLOCK_CREATE_RULESET, &set, size, 0U);
}
int pg_landlock_allow(int ruleset, uint64_t rights, int fd) {
  struct pg_path_rule rule = {rights, fd};
  return (int)syscall(PG_LANDLOCK_ADD_RULE, ruleset, 1, &rule, 0U);
}
struct pg_port_rule {
  uint64_t rights, port;
};
int pg_landlock_allow_port(int ruleset, uint64_t rights, uint16_t port) {
  struct pg_port_rule rule = {rights, port};
  return (int)syscall(PG_LANDLOCK_ADD_RULE, ruleset, 2, &rule, 0U);
}
int pg_landlock_restrict(int ruleset) { return (int)syscall(PG_LANDLOCK_RESTRICT_SELF, ruleset, 0U); }

int pg_open_path(const char *path) { return open(path, O_PATH | O_CLOEXEC); }
int pg_try_fork(void) {
  long pid = syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
  if (pid == 0) _exit(0);
  return (int)pid;
}
int pg_try_socket(int domain, int type) { return (int)syscall(SYS_socket, domain, type, 0); }
int pg_try_execute(const char *path) {
  char *const none[] = {NULL};
  return execve(path, none, none);
}

ssize_t pg_send_descriptor(int fd, const void *bytes, size_t length, int passed) {
  struct iovec part = {(void *)bytes, length};
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed >= 0) {
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t pg_receive_descriptor(int fd, void *bytes, size_t length, int *passed) {
  struct iovec part = {bytes, length};
  union {
    char room[CMSG_SPACE(sizeof(int) * 4)];
    struct cmsghdr align;
  } control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  *passed = -1;
  ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return n;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int got;
      memcpy(&got, CMSG_DATA(header) + i * sizeof(int), sizeof got);
      if (*passed < 0) {
        *passed = got;
      } else {
        close(got);
      }
    }
  }
  return n;
}

int pg_close_range(unsigned int first, unsigned int last) { return (int)syscall(SYS_close_range, first, last, 0); }
