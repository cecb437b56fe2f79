/* Loaded before the C library into every process of a chaos run: makes its disk slow and its calendar wrong, as two numbers in a
 * shared file say. The monotonic clock is left alone, as it is by whoever sets a machine's clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t sync_delay_us;
    int64_t clock_offset_ms;
};

static const volatile struct control none;
static const volatile struct control *control = &none;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("TIDEWATER_CHAOS_CONTROL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) control = map;
    close(file);
}

static void delay(void) {
    int64_t left = control->sync_delay_us;
    struct timespec pause = {left / 1000000, (left % 1000000) * 1000};
    while (left > 0 && nanosleep(&pause, &pause) == -1 && errno == EINTR) {
    }
}

int fsync(int file) {
    delay();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    delay();
    return (int)syscall(SYS_fdatasync, file);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = real_clock_gettime ? real_clock_gettime(id, now) : (int)syscall(SYS_clock_gettime, id, now);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t nanos = now->tv_nsec + (control->clock_offset_ms % 1000) * 1000000;
        now->tv_sec += control->clock_offset_ms / 1000 + (nanos >= 1000000000) - (nanos < 0);
        now->tv_nsec = nanos + ((nanos < 0) - (nanos >= 1000000000)) * 1000000000;
    }
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec fine;
    int failed = clock_gettime(CLOCK_REALTIME, &fine);
    if (!failed) {
        now->tv_sec = fine.tv_sec;
        now->tv_usec = fine.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *result) {
    struct timespec fine;
    if (clock_gettime(CLOCK_REALTIME, &fine)) return (time_t)-1;
    if (result) *result = fine.tv_sec;
    return fine.tv_sec;
}
