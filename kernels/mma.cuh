// Products by tensor cores of float32 numbers, each of which is the sum of two float16 ones.
//
// Three products of these make one, which keeps nearly all of float32's 24 bits. The emulator has the functions that are
// the GPU's instructions in words of its own.

/// Rows and columns that are multiplied together.
constexpr int TILE = 16;

#ifdef __CUDACC__
/// Two numbers in 16 bits, the first in the lower half.
__device__ __forceinline__ unsigned to_halves(float first, float second)
{
    unsigned halves;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(second), "f"(first));
#else
    asm("{.reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
        : "=r"(halves)
        : "f"(first), "f"(second));
#endif
    return halves;
}

__device__ __forceinline__ float from_half(unsigned bits)
{
    float value;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low;}" : "=f"(value) : "r"(bits));
    return value;
}

/// Adds a product of 16 × 16 and 16 × 8 numbers, each lane with its part of them.
__device__ __forceinline__ void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

/// As `multiply_add`, of 16 × 8 and 8 × 8 numbers, to nothing or to `sum`.
__device__ __forceinline__ void multiply_half(float (&sum)[4], unsigned a0, unsigned a1, unsigned b)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
        : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
        : "r"(a0), "r"(a1), "r"(b), "f"(0.0f));
}

__device__ __forceinline__ void multiply_add_half(float (&sum)[4], unsigned a0, unsigned a1, unsigned b)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(b));
}

/// An address of shared memory.
using Shared = unsigned;

__device__ __forceinline__ Shared shared_address(const void* at) { return static_cast<Shared>(__cvta_generic_to_shared(at)); }

/// Four matrices of 8 × 8 numbers in 16 bits, of which lane 8 k + i says where row i of number k is. Lane 4 i + j gets numbers 2 j and 2 j + 1
/// of row i, or if TRANSPOSED of column i.
template <bool TRANSPOSED>
__device__ __forceinline__ void load_matrices(unsigned (&to)[4], Shared row)
{
    if constexpr (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
            : "r"(row));
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
            : "r"(row));
    }
}

/// The same numbers of the transposed matrix, of one whose numbers 2 j and 2 j + 1 of row i are in lane 4 i + j.
__device__ __forceinline__ unsigned transposed(unsigned pair)
{
    unsigned to;
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(to) : "r"(pair));
    return to;
}
#endif

/// Two numbers as the two of 16 bits that make each of them, nearly.
__device__ __forceinline__ void split(float first, float second, unsigned& high, unsigned& low)
{
    high = to_halves(first, second);
    low = to_halves(first - from_half(high), second - from_half(high >> 16));
}

/// A lane's part of 16 × 16 inputs: numbers 2p and 2p + 1 of the pair (row, column) that `p` is for.
struct Inputs {
    unsigned high[4];
    unsigned low[4];

    __device__ __forceinline__ void set(int part, float first, float second)
    {
        split(first, second, high[part], low[part]);
    }
};

/// Powers of 2 that bring the numbers of a row into float16's range, and back.
///
/// Messages, features and gradients may be of any size. The largest of a row gets to between 2¹⁴ and 2¹⁵, since float16 numbers end at
/// 2¹⁶. Their steps are 2⁻²⁴ at least, so that with its remainder a number keeps 22 bits down to 2⁻², which is 2¹⁶ times smaller than
/// the largest; those that are smaller yet are off by no more than 2⁻²⁵, which is 2⁻³⁹ of it. Every row has powers of its own, so
/// that results do not depend on what else is in a call.
struct Scale {
    float up;
    float down;

    __device__ __forceinline__ explicit Scale(float largest)
    {
        // Of numbers below 2⁻¹¹², zero among them, neither power may leave float32's range.
        const unsigned exponent = __float_as_uint(largest) >> 23;
        const unsigned power = exponent < 15 ? 253 : 268 - exponent;
        up = __uint_as_float(power << 23);
        down = __uint_as_float((254 - power) << 23);
    }
};

/// The largest size of some numbers; what is no number does not count.
template <int N>
__device__ __forceinline__ float largest(const Pack<N>& pack)
{
    float most = 0;
#pragma unroll
    for (int v = 0; v < N; ++v) {
        most = fmaxf(most, fabsf(pack.v[v]));
    }
    return most;
}
