// What every kernel shares: how it is written, and warps. Each program defines the `System` that its kernels take.

struct System;

#ifdef __CUDACC__
/// A kernel: every one takes the arrays, and the number of an interaction block or what it says.
#define KERNEL(name, threads, blocks)                            \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const __grid_constant__ System s, const int block)
/// The block's shared memory, as much as the launch asked for, at a whole line of banks.
extern __shared__ __align__(128) unsigned char shared_bytes[];
#define SHARED(type, name) type* name = reinterpret_cast<type*>(shared_bytes)
#endif

constexpr int WARP = 32;
constexpr unsigned FULL = 0xffffffffu;

__device__ __forceinline__ int lane_id() { return threadIdx.x % WARP; }
__device__ __forceinline__ int warp_id() { return threadIdx.x / WARP; }

/// The sum of `count` numbers that are `stride` apart, in their order. Several are loaded at once, well ahead of their use.
__device__ __forceinline__ double sum_of(const double* first, unsigned long long stride, unsigned count)
{
    constexpr unsigned AT_ONCE = 8;
    double sum = first[0];
    for (unsigned begin = 1; begin < count; begin += AT_ONCE) {
        double parts[AT_ONCE];
#pragma unroll
        for (unsigned k = 0; k < AT_ONCE; ++k) {
            parts[k] = begin + k < count ? first[(begin + k) * stride] : 0.0;
        }
#pragma unroll
        for (unsigned k = 0; k < AT_ONCE; ++k) {
            sum = begin + k < count ? sum + parts[k] : sum;
        }
    }
    return sum;
}

/// The sum over the SIZE lanes that begin at a multiple of SIZE, in the same order always, to all of them.
template <int SIZE>
__device__ __forceinline__ double group_sum(double value)
{
#pragma unroll
    for (int step = SIZE / 2; step > 0; step /= 2) {
        value += __shfl_xor_sync(FULL, value, step);
    }
    return value;
}
