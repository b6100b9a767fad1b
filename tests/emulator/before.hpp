// What stands in front of the kernels when they are compiled for the processor: CUDA's words, and threads as fibres.
//
// Blocks run one after another, and the threads of a block take turns, each from one barrier, shuffle or vote to the next, in rising or
// falling order: what only works in one of them lacks a barrier. Shared memory is filled with NaN before every block
// and has a guard behind it.

#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <ucontext.h>
#include <vector>

using std::atan2;
using std::ceil;
using std::cos;
using std::exp;
using std::fabs;
using std::floor;
using std::hypot;
using std::log;
using std::log1p;
using std::round;
using std::sin;
using std::sqrt;
using std::tanh;

#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __restrict__ __restrict

struct Dimensions {
    unsigned x = 1;
    unsigned y = 1;
};

static Dimensions threadIdx;
static Dimensions blockIdx;
static Dimensions blockDim;
static Dimensions gridDim;

namespace emulator {

struct Group {
    unsigned arrived = 0;
    unsigned generation = 0;
    unsigned members = 0;
};

struct Warp {
    Group group;
    std::uint64_t slots[32] = {};
    /// Of operands of tensor cores.
    unsigned registers[32][6] = {};
};

struct Fibre {
    jmp_buf state;
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool begun = false;
    bool done = true;
};

static std::vector<std::unique_ptr<Fibre>> fibres;
static std::vector<Warp> warps;
static Group block;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
static Fibre* running;
static void (*body)();
static unsigned long progress;
static unsigned char* shared;

static void leave()
{
    if (_setjmp(running->state) == 0) {
        _longjmp(scheduler, 1);
    }
}

static void main_of_fibre()
{
    for (;;) {
        body();
        running->done = true;
        ++progress;
        // The barriers of those that are left do not wait for this thread.
        --block.members;
        --warps[threadIdx.x / 32].group.members;
        leave();
    }
}

static void resume(Fibre& fibre)
{
    running = &fibre;
    if (_setjmp(scheduler) != 0) {
        return;
    }
    if (fibre.begun) {
        _longjmp(fibre.state, 1);
    }
    constexpr std::size_t STACK = 256 * 1024;
    fibre.begun = true;
    fibre.stack.reset(new char[STACK]);
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, main_of_fibre, 0);
    swapcontext(&scheduler_context, &fibre.context);
}

static void wait(Group& group)
{
    const unsigned generation = group.generation;
    ++group.arrived;
    while (group.generation == generation) {
        if (group.arrived >= group.members) {
            group.arrived = 0;
            ++group.generation;
            ++progress;
        } else {
            const unsigned own = threadIdx.x;
            leave();
            threadIdx.x = own;
        }
    }
}

static Warp& warp() { return warps[threadIdx.x / 32]; }

/// Lets all lanes see each other's values.
template <class Read>
auto exchange(std::uint64_t value, Read read)
{
    Warp& own = warp();
    own.slots[threadIdx.x % 32] = value;
    wait(own.group);
    const auto result = read(own.slots);
    wait(own.group);
    return result;
}

template <class T>
std::uint64_t bits(T value)
{
    static_assert(sizeof(T) <= 8, "shuffles move up to 8 bytes");
    std::uint64_t result = 0;
    std::memcpy(&result, &value, sizeof(T));
    return result;
}

template <class T>
T shuffle(T value, unsigned from)
{
    return exchange(bits(value), [&](const std::uint64_t* slots) {
        T result;
        std::memcpy(&result, &slots[from % 32], sizeof(T));
        return result;
    });
}

} // namespace emulator

[[maybe_unused]] static void __syncthreads() { emulator::wait(emulator::block); }
[[maybe_unused]] static void __syncwarp() { emulator::wait(emulator::warp().group); }

template <class T>
T __shfl_sync(unsigned, T value, unsigned from)
{
    return emulator::shuffle(value, from);
}

template <class T>
T __shfl_xor_sync(unsigned, T value, unsigned mask)
{
    return emulator::shuffle(value, (threadIdx.x % 32) ^ mask);
}

template <class T>
T __shfl_up_sync(unsigned, T value, unsigned step)
{
    const unsigned lane = threadIdx.x % 32;
    return emulator::shuffle(value, lane < step ? lane : lane - step);
}

template <class T>
unsigned __match_any_sync(unsigned, T value)
{
    const std::uint64_t own = emulator::bits(value);
    return emulator::exchange(own, [&](const std::uint64_t* slots) {
        unsigned found = 0;
        for (unsigned lane = 0; lane < 32; ++lane) {
            found |= slots[lane] == own ? 1u << lane : 0;
        }
        return found;
    });
}

static inline unsigned __ballot_sync(unsigned, bool value)
{
    return emulator::exchange(emulator::bits(value ? 1u : 0u), [&](const std::uint64_t* slots) {
        unsigned found = 0;
        for (unsigned lane = 0; lane < 32; ++lane) {
            found |= slots[lane] != 0 ? 1u << lane : 0;
        }
        return found;
    });
}

static inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

template <class T>
bool __any_sync(unsigned, T value)
{
    return emulator::exchange(value ? 1 : 0, [&](const std::uint64_t* slots) {
        bool any = false;
        for (unsigned lane = 0; lane < 32; ++lane) {
            any |= slots[lane] != 0;
        }
        return any;
    });
}

// The C library has functions of these names, hidden.
#define __expf std::exp
#define __logf std::log
#define __fdividef(x, y) ((x) / (y))

struct uint4 {
    unsigned x;
    unsigned y;
    unsigned z;
    unsigned w;
};

namespace emulator {

/// The nearest float16, ties to even.
static inline unsigned half_bits(float x)
{
    const unsigned sign = std::signbit(x) ? 0x8000u : 0u;
    const float size = std::fabs(x);
    if (!(size < 65520.0f)) {
        return sign | (std::isnan(x) ? 0x7e00u : 0x7c00u);
    }
    int exponent = -14;
    if (size >= 6.103515625e-05f) {
        exponent = std::ilogb(size);
    }
    const unsigned units = static_cast<unsigned>(std::lrint(std::ldexp(size, 10 - exponent)));
    return sign | (static_cast<unsigned>(exponent + 14) * 1024u + units);
}

/// What all float16 numbers stand for.
static const std::vector<float> half_values = [] {
    std::vector<float> values(1 << 16);
    for (unsigned bits = 0; bits < values.size(); ++bits) {
        const int exponent = bits >> 10 & 31;
        const int fraction = bits & 1023;
        const float size = exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
            : exponent == 0               ? std::ldexp(static_cast<float>(fraction), -24)
                                          : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
        values[bits] = bits & 0x8000 ? -size : size;
    }
    return values;
}();

} // namespace emulator

static inline unsigned to_halves(float first, float second)
{
    return emulator::half_bits(second) << 16 | emulator::half_bits(first);
}

static inline float from_half(unsigned bits) { return emulator::half_values[bits & 0xffff]; }

/// As mma.m16n8k16 has it: lane 4 g + t holds of A rows g and g + 8 and columns 2 t, 2 t + 1 and those 8 further, of B the same rows of
/// column g, and of the sum rows g and g + 8 of columns 2 t and 2 t + 1.
static inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emulator::Warp& warp = emulator::warp();
    const unsigned lane = threadIdx.x % 32;
    const unsigned own[6] = {a[0], a[1], a[2], a[3], b0, b1};
    std::memcpy(warp.registers[lane], own, sizeof(own));
    emulator::wait(warp.group);
    for (int k = 0; k < 16; ++k) {
        const unsigned t = k % 8 / 2;
        const auto value = [&](unsigned from, int which) {
            return emulator::half_values[warp.registers[from][which] >> 16 * (k % 2) & 0xffff];
        };
        for (int at = 0; at < 4; ++at) {
            const unsigned column = 2 * (lane % 4) + at % 2;
            sum[at] += value(lane / 4 * 4 + t, k / 8 * 2 + at / 2) * value(4 * column + t, 4 + k / 8);
        }
    }
    emulator::wait(warp.group);
}

/// As mma.m16n8k8 has it: the left halves of those.
[[maybe_unused]] static inline void multiply_add_half(float (&sum)[4], unsigned a0, unsigned a1, unsigned b)
{
    const unsigned a[4] = {a0, a1, 0, 0};
    multiply_add(sum, a, b, 0);
}

[[maybe_unused]] static inline void multiply_half(float (&sum)[4], unsigned a0, unsigned a1, unsigned b)
{
    sum[0] = sum[1] = sum[2] = sum[3] = 0.0f;
    multiply_add_half(sum, a0, a1, b);
}

/// An address of shared memory.
using Shared = std::uintptr_t;

[[maybe_unused]] static inline Shared shared_address(const void* at) { return reinterpret_cast<Shared>(at); }

namespace emulator {

/// Numbers 2 j and 2 j + 1 of row i of a matrix of 8 × 8, or of column i, for lane 4 i + j. `word(i, j)` has those of row i.
template <class Word>
unsigned part_of_matrix(bool transposed, Word word)
{
    const unsigned lane = threadIdx.x % 32;
    const unsigned i = lane / 4;
    const unsigned j = lane % 4;
    if (!transposed) {
        return word(i, j);
    }
    const auto number = [&](unsigned row) { return word(row, i / 2) >> 16 * (i % 2) & 0xffff; };
    return number(2 * j + 1) << 16 | number(2 * j);
}

} // namespace emulator

/// As ldmatrix has it.
template <bool TRANSPOSED>
void load_matrices(unsigned (&to)[4], Shared row)
{
    emulator::exchange(row, [&](const std::uint64_t* rows) {
        for (unsigned matrix = 0; matrix < 4; ++matrix) {
            to[matrix] = emulator::part_of_matrix(TRANSPOSED, [&](unsigned i, unsigned j) {
                unsigned word;
                std::memcpy(&word, reinterpret_cast<const unsigned char*>(rows[8 * matrix + i]) + 4 * j, sizeof(word));
                return word;
            });
        }
        return 0;
    });
}

/// As movmatrix has it.
[[maybe_unused]] static inline unsigned transposed(unsigned pair)
{
    return emulator::exchange(pair, [](const std::uint64_t* slots) {
        return emulator::part_of_matrix(true, [&](unsigned i, unsigned j) { return static_cast<unsigned>(slots[4 * i + j]); });
    });
}

[[maybe_unused]] static void sincospi(double x, double* sine, double* cosine)
{
    const double angle = 3.141592653589793238462643383279502884 * x;
    *sine = std::sin(angle);
    *cosine = std::cos(angle);
}

static inline int __popc(unsigned value) { return __builtin_popcount(value); }

template <class T>
T atomicAdd(T* at, T value)
{
    const T before = *at;
    *at = before + value;
    return before;
}

template <class T>
T atomicMin(T* at, T value)
{
    const T before = *at;
    *at = before < value ? before : value;
    return before;
}

template <class T>
T atomicOr(T* at, T value)
{
    const T before = *at;
    *at = before | value;
    return before;
}

struct System;

struct Kernel {
    const char* name;
    void (*run)(const System&, int);
    Kernel* next;
    static Kernel* first;

    Kernel(const char* name, void (*run)(const System&, int)) : name(name), run(run), next(first) { first = this; }
};
Kernel* Kernel::first = nullptr;

#define KERNEL(name, threads, blocks)                         \
    static void name(const System& s, int block);             \
    static Kernel kernel_##name(#name, name);                 \
    static void name(const System& s, [[maybe_unused]] int block)
#define SHARED(type, name) type* name = reinterpret_cast<type*>(emulator::shared)
