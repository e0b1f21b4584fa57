// What is counted in the text of an event stream, and how long messages took.
#include "load.h"
#include <string.h>
#include <time.h>

struct counters counters;
char *peeked;

// Time in 1/64 of each power of two: about 1.5 % wide.
#define SUB 64
static uint64_t buckets[64 * SUB], total, longest;

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int bucket_of(uint64_t ns) {
  if (ns < SUB) return (int)ns;
  int power = 63 - __builtin_clzll(ns);
  return (power - 5) * SUB + (int)((ns >> (power - 6)) - SUB);
}

static uint64_t floor_of(int bucket) {
  if (bucket < SUB) return (uint64_t)bucket;
  return ((uint64_t)SUB + (uint64_t)(bucket % SUB)) << (bucket / SUB - 1);
}

void histogram_clear(void) {
  memset(buckets, 0, sizeof buckets);
  total = longest = 0;
}

void histogram_add(uint64_t ns) {
  buckets[bucket_of(ns)]++;
  total++;
  if (ns > longest) longest = ns;
}

uint64_t histogram_at(double part) {
  uint64_t rank = (uint64_t)(part * (double)total), seen = 0;
  for (int i = 0; i < 64 * SUB; i++) {
    seen += buckets[i];
    if (seen > rank) return floor_of(i);
  }
  return longest;
}

uint64_t histogram_max(void) { return longest; }
uint64_t histogram_total(void) { return total; }

void counted(struct conn *c, uint32_t events) {
  c->frames += events;
  counters.frames += events;
}

// An event ends with an empty line. One without data doesn't count: no page sees it.
void count_events(struct conn *c, const char *text, size_t size) {
  const char *at = text, *end = text + size;
  uint32_t events = 0;
  if (settings.stamps) read_stamps(c, text, size);
  while (at < end) {
    if (c->at_start) {
      if (*at == '\n') {
        if (!c->dataless) events++;
        c->dataless = 1;
        at++;
        continue;
      }
      if (*at == 'd') c->dataless = 0;
    }
    const char *line = memchr(at, '\n', (size_t)(end - at));
    c->at_start = line != NULL;
    if (line == NULL) break;
    at = line + 1;
  }
  if (events > 0) counted(c, events);
}

void read_stamps(struct conn *c, const char *text, size_t size) {
  const char *at = text, *end = text + size;
  uint64_t now = 0;
  while (at < end) {
    if (c->stamp_size == 0) {
      at = memchr(at, '~', (size_t)(end - at));
      if (at == NULL) return;
      c->stamp[c->stamp_size++] = *at++;
      continue;
    }
    char byte = *at++;
    if (byte >= '0' && byte <= '9' && c->stamp_size < sizeof c->stamp) {
      c->stamp[c->stamp_size++] = byte;
      continue;
    }
    if (byte == '~' && c->stamp_size > 1) {
      uint64_t sent = 0;
      for (int i = 1; i < c->stamp_size; i++) sent = sent * 10 + (uint64_t)(c->stamp[i] - '0');
      if (now == 0) now = now_ns();
      histogram_add(now > sent ? now - sent : 0);
    }
    c->stamp_size = 0;
  }
}
