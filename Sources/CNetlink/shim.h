// What the kernel says in its own headers about netlink: nf_tables, routes and addresses, sockets. Constants and structures only.
// linux/netfilter.h is left out: it brings linux/in.h, whose structures differ from those of the C library.
#pragma once
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/if_addr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/inet_diag.h>
#include <linux/nexthop.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
