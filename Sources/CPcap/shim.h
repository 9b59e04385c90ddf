// libpcap, and the few options of packet sockets that it has no call for.
#pragma once
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <sys/socket.h>

#ifndef SO_LOCK_FILTER
#define SO_LOCK_FILTER 44
#endif

/// What the kernel counted since the last call (it forgets when it is asked): packets that passed the filter, those of them that found no
/// room, and how often the whole ring was full (TPACKET_V3 only). pcap_stats would take the same counters away. 0, or -1 with errno.
static inline int pg_packet_statistics(int fd, uint64_t *packets, uint64_t *drops, uint64_t *freezes) {
  struct tpacket_stats_v3 stats = {0, 0, 0};
  socklen_t size = sizeof stats;
  if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) != 0) return -1;
  *packets = stats.tp_packets;
  *drops = stats.tp_drops;
  *freezes = size >= sizeof stats ? stats.tp_freeze_q_cnt : 0;
  return 0;
}
/// The version of the ring (2 is TPACKET_V3), or -1 with errno.
static inline int pg_packet_version(int fd) {
  int version = -1;
  socklen_t size = sizeof version;
  return getsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, &size) == 0 ? version : -1;
}
/// From now on nobody can change or detach the filter of this socket, nor unlock it. 0, or -1 with errno.
static inline int pg_lock_filter(int fd) {
  int yes = 1;
  return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof yes);
}
/// What a self-check tries on a packet socket that it holds: exactly that call. 0, or -1 with errno.
static inline int pg_try_detach_filter(int fd) {
  int none = 0;
  return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}
static inline int pg_try_promiscuous(int fd, int interface_index) {
  struct packet_mreq request = {interface_index, PACKET_MR_PROMISC, 0, {0}};
  return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}
static inline int pg_try_rebind(int fd, int interface_index) {
  struct sockaddr_ll address = {0};
  address.sll_family = AF_PACKET;
  address.sll_protocol = 0x0300;  // ETH_P_ALL
  address.sll_ifindex = interface_index;
  return bind(fd, (struct sockaddr *)&address, sizeof address);
}
