/* A disk that loses power: preloaded into a process, it keeps of every file in one folder what is durable.

   POWER_LOSS_FOLDER is the folder, POWER_LOSS_DISK another one of the same file system. In the latter,
   "N" is what the disk has of the file with inode N; "N.cache" is a second name of that file, so that its number
   is not given to another while its old content may still come back; "names" lists the folder as of its last sync.
   A sync copies; other writes reach the disk at once by chance, sector by sector, as a kernel may choose to.
   The process kills itself at call POWER_LOSS_CALLS; chance is that of POWER_LOSS_SEED, so that each run repeats. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, CHUNK = 1 << 16 };

static const char *folder, *disk;
static long calls_left;
static uint64_t chance;

static ssize_t (*next_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*next_write)(int, const void *, size_t);
static int (*next_fsync)(int), (*next_ftruncate)(int, off_t);

__attribute__((constructor)) static void start(void) {
    next_pwrite = dlsym(RTLD_NEXT, "pwrite");
    next_write = dlsym(RTLD_NEXT, "write");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    folder = getenv("POWER_LOSS_FOLDER");
    disk = getenv("POWER_LOSS_DISK");
    calls_left = atol(getenv("POWER_LOSS_CALLS"));
    chance = strtoull(getenv("POWER_LOSS_SEED"), NULL, 10) * 2 + 1;
}

static unsigned draw(unsigned n) { /* splitmix64 */
    uint64_t z = (chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static void must(int fine, const char *what) {
    if (!fine) {
        perror(what);
        abort();
    }
}

static void tick(void) {
    if (--calls_left == 0)
        kill(getpid(), SIGKILL);
}

/* 'f' for a file in the folder, 'd' for the folder, 0 for anything else. */
static int kind(int fd) {
    char link[64], path[PATH_MAX];
    size_t n = strlen(folder);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got < 0)
        return 0;
    path[got] = 0;
    if (strncmp(path, folder, n))
        return 0;
    return path[n] == 0 ? 'd' : path[n] == '/' ? 'f' : 0;
}

/* The durable side of a file, open for writing. */
static int durable(int fd) {
    char link[64], path[PATH_MAX];
    struct stat is;
    must(!fstat(fd, &is), "fstat");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(path, sizeof path, "%s/%lu.cache", disk, (unsigned long)is.st_ino);
    if (access(path, F_OK))
        must(!linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW), "link");
    snprintf(path, sizeof path, "%s/%lu", disk, (unsigned long)is.st_ino);
    int copy = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(copy >= 0, path);
    return copy;
}

static void copy_range(int fd, int copy, off_t from, off_t to) {
    static char bytes[CHUNK];
    int reader = fd;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        /* Never for a file of SQLite: to close it would release the locks that SQLite has on it. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        reader = open(link, O_RDONLY | O_CLOEXEC);
    }
    while (from < to) {
        size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        ssize_t got = pread(reader, bytes, want, from);
        must(got >= 0, "pread");
        if (got == 0)
            break;
        must(next_pwrite(copy, bytes, (size_t)got, from) == got, "pwrite");
        from += got;
    }
    if (reader != fd)
        close(reader);
}

static void list_names(void) {
    char path[PATH_MAX], made[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/names", disk);
    snprintf(made, sizeof made, "%s.new", path);
    FILE *list = fopen(made, "w");
    DIR *there = opendir(folder);
    must(list && there, "names");
    for (struct dirent *entry; (entry = readdir(there));)
        if (entry->d_type == DT_REG)
            fprintf(list, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    closedir(there);
    must(!fclose(list) && !rename(made, path), "names");
}

static int synced(int fd) {
    int what = kind(fd);
    if (what)
        tick();
    if (what == 'd')
        list_names();
    if (what == 'f') {
        int copy = durable(fd);
        struct stat is;
        must(!fstat(fd, &is) && !next_ftruncate(copy, is.st_size), "ftruncate");
        copy_range(fd, copy, 0, is.st_size);
        close(copy);
        tick();
    }
    return 0; /* the real disk need not wait for it */
}

static void written(int fd, off_t from, ssize_t length) {
    if (length <= 0 || kind(fd) != 'f')
        return;
    unsigned early = draw(4); /* 0, 1: stays in the cache; 2: some sectors go to the disk; 3: all do */
    int copy = durable(fd);
    for (off_t at = from / SECTOR * SECTOR; at < from + length; at += SECTOR)
        if (early == 3 || (early == 2 && draw(2)))
            copy_range(fd, copy, at, at + SECTOR);
    close(copy);
    tick();
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t done = next_pwrite(fd, bytes, length, at);
    written(fd, at, done);
    return done;
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return pwrite(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t done = next_write(fd, bytes, length);
    if (done > 0 && kind(fd) == 'f')
        written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

int ftruncate(int fd, off_t length) {
    int done = next_ftruncate(fd, length);
    if (!done && kind(fd) == 'f') {
        int copy = durable(fd);
        if (draw(2))
            must(!next_ftruncate(copy, length), "ftruncate");
        close(copy);
        tick();
    }
    return done;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }
