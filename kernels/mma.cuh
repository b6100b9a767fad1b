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
