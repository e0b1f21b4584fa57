// Takes commands on standard input, a line each, and answers each one with a line of JSON.
//
//   protocol sse|websocket|http2       request TEXT    greeting 0|1 TEXT   prefix TEXT
//   within TEXT                        stamps 0|1
//   open PORT SIZE WINDOW TIMEOUT      answers when all have their first message
//   reset                              all counters to zero
//   expect FRAMES TIMEOUT              answers when so many have arrived since then
//   narrow SIZE                        the first ones that are opened next have small buffers
//   stall SIZE   close   peek
#include "connections.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct settings settings;
static uint64_t began;
static uint64_t cpu_mark;

static uint64_t cpu_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ull +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void reset(void) {
  memset(&counters, 0, sizeof counters);
  crowd_clear_frames();
  histogram_clear();
  began = now_ns();
  cpu_mark = cpu_us();
}

static void report(int complete) {
  uint32_t fewest, most;
  crowd_extremes(&fewest, &most);
  printf("{\"complete\":%s,\"frames\":%lu,\"bytes\":%lu,\"reads\":%lu,\"cpuUs\":%lu,\"us\":%lu,"
         "\"fewest\":%u,\"most\":%u,\"failed\":%u,\"greeted\":%u,\"latency\":{\"count\":%lu,"
         "\"p50Us\":%.1f,\"p99Us\":%.1f,\"maxUs\":%.1f}}\n",
         complete ? "true" : "false", counters.frames, counters.bytes, counters.reads,
         cpu_us() - cpu_mark, (now_ns() - began) / 1000, fewest - 1, most - 1, crowd.failed,
         crowd.greeted, histogram_total(), (double)histogram_at(0.5) / 1e3,
         (double)histogram_at(0.99) / 1e3, (double)histogram_max() / 1e3);
}

// Copies a command's text, in which \r, \n and \\ stand for what they do in C.
static void unescape(char *to, size_t room, const char *from) {
  size_t at = 0;
  for (; *from != 0 && at + 1 < room; from++) {
    if (*from == '\\' && from[1] != 0) {
      from++;
      to[at++] = *from == 'r' ? '\r' : *from == 'n' ? '\n' : *from;
    } else {
      to[at++] = *from;
    }
  }
  to[at] = 0;
}

static void run_until(uint64_t frames, int opening, uint64_t timeout_ms) {
  uint64_t deadline = now_ns() + timeout_ms * 1000000ull;
  for (;;) {
    int done = opening ? crowd.greeted >= crowd.size : counters.frames >= frames;
    if (done || crowd.failed > 0 || now_ns() >= deadline) return report(done && crowd.failed == 0);
    crowd_poll(50);
    if (opening) crowd_go_on();
  }
}

static void peek(void) {
  putchar('"');
  for (const char *at = peeked; *at != 0; at++) {
    if (*at == '\n') fputs("\\n", stdout);
    else if ((unsigned char)*at >= ' ' && *at != '"' && *at != '\\') putchar(*at);
  }
  puts("\"");
}

// While times are measured it stays on one core. The scheduler likes to bring whoever is woken to the
// core of its waker, which is the server in the middle of its writes, and then all have to wait.
static void settle(int down) {
  static cpu_set_t all;
  if (CPU_COUNT(&all) == 0) sched_getaffinity(0, sizeof all, &all);
  cpu_set_t mine = all;
  if (down) {
    int last = CPU_SETSIZE - 1;
    while (last > 0 && !CPU_ISSET(last, &all)) last--;
    CPU_ZERO(&mine);
    CPU_SET(last, &mine);
  }
  sched_setaffinity(0, sizeof mine, &mine);
}

static void obey(char *line) {
  char *text = strchr(line, ' ');
  if (text != NULL) *text++ = 0;
  else text = line + strlen(line);
  if (strcmp(line, "protocol") == 0) {
    settings.protocol = text[0] == 'w' ? WEBSOCKET : text[0] == 'h' ? HTTP2 : SSE;
  } else if (strcmp(line, "request") == 0) {
    unescape(settings.request, sizeof settings.request, text);
  } else if (strcmp(line, "greeting") == 0) {
    unescape(settings.greeting[text[0] == '1'], sizeof settings.greeting[0], text + 2);
  } else if (strcmp(line, "prefix") == 0) {
    unescape(settings.prefix, sizeof settings.prefix, text);
  } else if (strcmp(line, "within") == 0) {
    unescape(settings.within, sizeof settings.within, text);
  } else if (strcmp(line, "stamps") == 0) {
    settings.stamps = text[0] == '1';
    settle(settings.stamps);
  } else if (strcmp(line, "open") == 0) {
    unsigned long port, size, window, timeout;
    if (sscanf(text, "%lu %lu %lu %lu", &port, &size, &window, &timeout) != 4) exit(2);
    crowd_close();
    reset();
    crowd_open((int)port, (uint32_t)size, (uint32_t)window);
    return run_until(0, 1, timeout);
  } else if (strcmp(line, "reset") == 0) {
    reset();
  } else if (strcmp(line, "expect") == 0) {
    unsigned long frames, timeout;
    if (sscanf(text, "%lu %lu", &frames, &timeout) != 2) exit(2);
    return run_until(frames, 0, timeout);
  } else if (strcmp(line, "narrow") == 0) {
    settings.narrow = (uint32_t)strtoul(text, NULL, 10);
  } else if (strcmp(line, "stall") == 0) {
    crowd_stall((uint32_t)strtoul(text, NULL, 10));
  } else if (strcmp(line, "close") == 0) {
    crowd_close();
  } else if (strcmp(line, "peek") == 0) {
    return peek();
  } else {
    fprintf(stderr, "Unknown command: %s\n", line);
    exit(2);
  }
  puts("{}");
}

int main(void) {
  static char lines[16384];
  size_t size = 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  setvbuf(stdout, NULL, _IOLBF, 0);
  peeked = calloc(1, 4097);
  crowd_open(0, 0, 0);
  for (;;) {
    if (!crowd_poll(-1)) continue;
    ssize_t got = read(0, lines + size, sizeof lines - 1 - size);
    if (got <= 0) return 0;
    size += (size_t)got;
    lines[size] = 0;
    char *line = lines, *end;
    while ((end = strchr(line, '\n')) != NULL) {
      *end = 0;
      obey(line);
      line = end + 1;
    }
    size -= (size_t)(line - lines);
    memmove(lines, line, size + 1);
  }
}
