// The connections themselves: opening, reading, closing.
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include "load.h"

struct crowd {
  struct conn *all;
  uint32_t size;    // how many are wanted
  uint32_t begun;   // how many have been opened so far
  uint32_t window;  // how many may wait for their first message at once
  uint32_t greeted; // how many have their first message
  uint32_t failed;
  int port;
};

extern struct crowd crowd;

void crowd_open(int port, uint32_t size, uint32_t window);
// Opens as many as the window allows.
void crowd_go_on(void);
void crowd_close(void);
// The first ones read nothing any more.
void crowd_stall(uint32_t size);
// The fewest and the most frames that a connection which reads has got.
void crowd_extremes(uint32_t *fewest, uint32_t *most);
void crowd_clear_frames(void);
// Waits for something to happen, for so many milliseconds at most, and handles it.
// Answers whether there is something to read on standard input.
int crowd_poll(int timeout);

#endif
