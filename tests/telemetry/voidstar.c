/* Stands for the library of the Antithesis platform: keeps what it is given. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *output;

static FILE *opened(void) {
    if (!output)
        output = fopen(getenv("VOIDSTAR_OUTPUT"), "a");
    return output;
}

void fuzz_json_data(const char *data, size_t size) {
    fwrite(data, 1, size, opened());
    fputs("\x1e", opened());
}

void fuzz_flush(void) {
    fputs("\n", opened());
    fflush(opened());
}

uint64_t fuzz_get_random(void) {
    static uint64_t last = UINT64_MAX - 3;
    return ++last;
}
