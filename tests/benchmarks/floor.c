/* The floor of a fan-out, and its subscribers: as little as can be done, in C.
 *
 * floor serve           listens, says its port; on "send SIZE\n" sends that many bytes to everybody and
 *                       says the CPU nanoseconds that it took.
 * floor drain PORT PATH COUNT
 *                       opens so many connections, asks for an upgrade of PATH (unless it is "-"),
 *                       says "open"; on "quiet\n" says the bytes read so far, once none came for 50 ms;
 *                       on "least\n" how many of them the connection with the fewest got; on "last\n"
 *                       when the last of them came (CLOCK_MONOTONIC, ns).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 20000

static int fds[MOST];
static long long got_by[MOST + 64];  /* by file descriptor; a few are open before the first */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static long long ns_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void say_number(long long number) {
    printf("%lld\n", number);
    fflush(stdout);
}

static void raise_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static void serve(void) {
    int door = socket(AF_INET, SOCK_STREAM, 0), one = 1, count = 0;
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    if (bind(door, (struct sockaddr *)&at, size) || listen(door, 4096)) fail("listen");
    getsockname(door, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    int watch = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door};
    epoll_ctl(watch, EPOLL_CTL_ADD, door, &event);
    event.data.fd = 0;
    epoll_ctl(watch, EPOLL_CTL_ADD, 0, &event);
    char *words = malloc(1 << 24), line[64];
    memset(words, 'x', 1 << 24);
    for (;;) {
        if (epoll_wait(watch, &event, 1, -1) != 1) continue;
        if (event.data.fd == door) {
            int fd = accept(door, NULL, NULL);
            if (fd < 0 || count == MOST) fail("accept");
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fds[count++] = fd;
            continue;
        }
        ssize_t got = read(0, line, sizeof line - 1);
        if (got <= 0) return;
        line[got] = 0;
        size_t bytes = (size_t)atol(line + 5);
        long long began = ns_of(CLOCK_PROCESS_CPUTIME_ID);
        for (int n = 0; n < count; n++)
            if (send(fds[n], words, bytes, MSG_NOSIGNAL) < 0) fail("send");
        say_number(ns_of(CLOCK_PROCESS_CPUTIME_ID) - began);
    }
}

static long long least(int count) {
    long long fewest = got_by[fds[0]];
    for (int n = 1; n < count; n++)
        if (got_by[fds[n]] < fewest) fewest = got_by[fds[n]];
    return fewest;
}

static void drain(int port, const char *path, int count) {
    char request[512], line[64];
    static char bytes[1 << 20];
    int watch = epoll_create1(0);
    struct sockaddr_in at = loopback(port);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                          path, port);
    if (count > MOST) fail("so many connections");
    for (int n = 0; n < count; n++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || fd >= MOST + 64) fail("socket");
        if (connect(fd, (struct sockaddr *)&at, sizeof at)) fail("connect");
        if (strcmp(path, "-") && write(fd, request, (size_t)length) != length) fail("write");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event);
        fds[n] = fd;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 0}, found[256];
    epoll_ctl(watch, EPOLL_CTL_ADD, 0, &event);
    say("open");
    long long total = 0, last = 0;
    int asked = 0;
    for (;;) {
        int ready = epoll_wait(watch, found, 256, asked ? 50 : -1);
        if (ready == 0) {
            say_number(total);
            asked = 0;
        }
        for (int n = 0; n < ready; n++) {
            if (found[n].data.fd == 0) {
                ssize_t said = read(0, line, sizeof line - 1);
                if (said <= 0) return;
                line[said] = 0;
                if (!strcmp(line, "least\n")) say_number(least(count));
                else if (!strcmp(line, "last\n")) say_number(last);
                else asked = 1;
                continue;
            }
            ssize_t got = read(found[n].data.fd, bytes, sizeof bytes);
            if (got <= 0) fail("a connection was lost");
            total += got;
            got_by[found[n].data.fd] += got;
            last = ns_of(CLOCK_MONOTONIC);
        }
    }
}

int main(int count, char **words) {
    raise_limit();
    if (count == 2 && !strcmp(words[1], "serve")) serve();
    else if (count == 5 && !strcmp(words[1], "drain"))
        drain(atoi(words[2]), words[3], atoi(words[4]));
    else return 2;
    return 0;
}
