#include "connections.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (256 * 1024)
// Ports of one source address; further connections come from the next one in 127.0.0.0/8.
#define PER_ADDRESS 20000

struct crowd crowd;
static int poller = -1;
static char buffer[BUFFER];

static void watch(int fd, uint32_t events, void *what, int how) {
  struct epoll_event event = {.events = events, .data.ptr = what};
  epoll_ctl(poller, how, fd, &event);
}

static void drop(struct conn *c) {
  if (c->fd < 0) return;
  close(c->fd);
  c->fd = -1;
}

static void fail(struct conn *c, const char *what) {
  if (crowd.failed++ == 0) fprintf(stderr, "Connection %u: %s (%s)\n", c->index, what, strerror(errno));
  if (c->frames == 0) crowd.greeted++;
  drop(c);
}

int say(struct conn *c, const void *bytes, size_t size) {
  return send(c->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static void begin(struct conn *c, uint32_t index) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)crowd.port)};
  struct sockaddr_in from = {.sin_family = AF_INET};
  int one = 1;
  memset(c, 0, sizeof *c);
  c->index = index;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) return fail(c, "no socket");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (index < settings.narrow) {
    int small = 4096;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
  if (index >= PER_ADDRESS) {
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / PER_ADDRESS);
    setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) return fail(c, "no source address");
  }
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
    return fail(c, "not connected");
  }
  watch(c->fd, EPOLLOUT, c, EPOLL_CTL_ADD);
}

static void connected(struct conn *c) {
  char request[4096 + 16];
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    errno = error;
    return fail(c, "not connected");
  }
  watch(c->fd, EPOLLIN, c, EPOLL_CTL_MOD);
  c->stage = HEAD;
  if (settings.protocol == HTTP2) {
    if (greet(c) < 0) fail(c, "not greeted");
    return;
  }
  int size = snprintf(request, sizeof request, settings.request, c->index);
  if (say(c, request, (size_t)size) < 0) fail(c, "request not sent");
}

static int feed(struct conn *c, const char *bytes, size_t size) {
  if (settings.protocol == WEBSOCKET) return feed_websocket(c, bytes, size);
  if (settings.protocol == HTTP2) return feed_http2(c, bytes, size);
  return feed_http1(c, bytes, size);
}

static void readable(struct conn *c) {
  ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return fail(c, "closed by the server");
  counters.bytes += (uint64_t)size;
  counters.reads++;
  if (c->index == 0 && peeked != NULL) {
    size_t kept = size < 4096 ? (size_t)size : 4096;
    memcpy(peeked, buffer + size - kept, kept);
    peeked[kept] = 0;
  }
  int first = c->frames == 0;
  if (feed(c, buffer, (size_t)size) < 0) return fail(c, "of no use");
  if (first && c->frames > 0) crowd.greeted++;
}

void crowd_open(int port, uint32_t size, uint32_t window) {
  if (poller < 0) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(0, EPOLLIN, NULL, EPOLL_CTL_ADD);
  }
  free(crowd.all);
  crowd = (struct crowd){.all = calloc(size, sizeof *crowd.all), .size = size, .window = window, .port = port};
  crowd_go_on();
}

void crowd_go_on(void) {
  while (crowd.begun < crowd.size && crowd.begun - crowd.greeted < crowd.window) {
    begin(&crowd.all[crowd.begun], crowd.begun);
    crowd.begun++;
  }
}

void crowd_close(void) {
  for (uint32_t i = 0; i < crowd.begun; i++) drop(&crowd.all[i]);
  crowd.size = crowd.begun = 0;
}

void crowd_stall(uint32_t size) {
  for (uint32_t i = 0; i < size && i < crowd.begun; i++) {
    struct conn *c = &crowd.all[i];
    if (c->fd < 0) continue;
    c->stalled = 1;
    watch(c->fd, 0, c, EPOLL_CTL_DEL);
  }
}

void crowd_extremes(uint32_t *fewest, uint32_t *most) {
  *fewest = UINT32_MAX;
  *most = 0;
  for (uint32_t i = 0; i < crowd.begun; i++) {
    const struct conn *c = &crowd.all[i];
    if (c->stalled) continue;
    if (c->frames < *fewest) *fewest = c->frames;
    if (c->frames > *most) *most = c->frames;
  }
}

// One is left, which says that the first message is there.
void crowd_clear_frames(void) {
  for (uint32_t i = 0; i < crowd.begun; i++) crowd.all[i].frames = 1;
}

int crowd_poll(int timeout) {
  struct epoll_event events[1024];
  int input = 0;
  int count = epoll_wait(poller, events, 1024, timeout);
  for (int i = 0; i < count; i++) {
    struct conn *c = events[i].data.ptr;
    if (c == NULL) input = 1;
    else if (c->fd < 0) continue;
    else if (c->stage == CONNECTING) connected(c);
    else readable(c);
  }
  return input;
}
