// What the C programs share: counting what does not hold.
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

#include "flashschnet.h"

static int failures = 0;

static void require(int holds, const char *what) {
    if (!holds) {
        printf("  NOT TRUE: %s\n", what);
        failures++;
    }
}

#endif
