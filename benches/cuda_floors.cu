// What a GPU can do at most: bytes copied, multiply-adds, those of tensor cores (float16), and bytes read from shared memory and the nearest cache, a second.
// nvcc -O3 -arch=native benches/cuda_floors.cu -o floors && ./floors

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

__global__ void fma_rate(float* out, int rounds)
{
    float a[8];
    for (int k = 0; k < 8; ++k) {
        a[k] = threadIdx.x + k;
    }
    const float b = 0.999f + 1e-9f * threadIdx.x;
    const float c = 1e-3f * blockIdx.x;
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int step = 0; step < 16; ++step) {
#pragma unroll
            for (int k = 0; k < 8; ++k) {
                a[k] = a[k] * b + c;
            }
        }
    }
    float sum = 0;
    for (int k = 0; k < 8; ++k) {
        sum += a[k];
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Products of 16 × 16 and 16 × 8 float16 numbers, summed in float32.
__global__ void tensor_rate(float* out, int rounds)
{
    constexpr int CHAINS = 8;
    float sum[CHAINS][4] = {};
    const unsigned a = 0x3c003800u + threadIdx.x;
    const unsigned b = 0x34003000u + blockIdx.x % 64;
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int k = 0; k < CHAINS; ++k) {
#if __CUDA_ARCH__ >= 800
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %4, %5}, {%6, %6}, {%0, %1, %2, %3};"
                : "+f"(sum[k][0]), "+f"(sum[k][1]), "+f"(sum[k][2]), "+f"(sum[k][3])
                : "r"(a), "r"(a + k), "r"(b));
#endif
        }
    }
    float all = 0;
    for (int k = 0; k < CHAINS; ++k) {
        all += sum[k][0] + sum[k][1] + sum[k][2] + sum[k][3];
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

__global__ void shared_rate(float4* out, int rounds)
{
    extern __shared__ float4 memory[];
    for (int at = threadIdx.x; at < 2048; at += blockDim.x) {
        memory[at] = make_float4(at, 1, 2, 3);
    }
    __syncthreads();
    float4 sum = make_float4(0, 0, 0, 0);
    int at = threadIdx.x;
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int step = 0; step < 8; ++step) {
            const float4 read = memory[(at + 32 * step) & 2047];
            sum.x += read.x;
            sum.y += read.y;
            sum.z += read.z;
            sum.w += read.w;
        }
        at += 256 + (sum.x == -1.0f);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// `bytes` of memory read over and over: the nearest cache's rate if they fit there, the second's if not.
__global__ void cache_rate(float4* out, const float4* __restrict__ in, int size, int rounds)
{
    float4 sum = make_float4(0, 0, 0, 0);
    int at = threadIdx.x;
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
        for (int step = 0; step < 8; ++step) {
            const float4 read = __ldg(in + ((at + 32 * step) & (size - 1)));
            sum.x += read.x;
            sum.y += read.y;
            sum.z += read.z;
            sum.w += read.w;
        }
        at += 256 + (sum.x == -1.0f);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

static double milliseconds(const std::function<void()>& run)
{
    std::vector<float> times;
    cudaEvent_t begin;
    cudaEvent_t end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    for (int round = 0; round < 8; ++round) {
        cudaEventRecord(begin);
        run();
        cudaEventRecord(end);
        cudaEventSynchronize(end);
        float time;
        cudaEventElapsedTime(&time, begin, end);
        times.push_back(time);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

int main()
{
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) {
        std::printf("skipped: no GPU\n");
        return 0;
    }
    const size_t bytes = size_t(2) << 30;
    float4* from;
    float4* to;
    cudaMalloc(&from, bytes);
    cudaMalloc(&to, bytes);
    cudaMemset(from, 1, bytes);
    const int blocks = 8 * properties.multiProcessorCount;
    const double copy = milliseconds([&] { cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice); });
    const int rounds = 2000;
    const double fma = milliseconds([&] { fma_rate<<<blocks, 256>>>(reinterpret_cast<float*>(to), rounds); });
    const double tensor = milliseconds([&] { tensor_rate<<<blocks, 256>>>(reinterpret_cast<float*>(to), rounds); });
    const double shared = milliseconds([&] { shared_rate<<<blocks, 256, 32768>>>(to, rounds); });
    const double near = milliseconds([&] { cache_rate<<<blocks, 256>>>(to, from, 4096, rounds); });
    const double far = milliseconds([&] { cache_rate<<<blocks, 256>>>(to, from, 1 << 20, rounds / 4); });
    const double reads = double(blocks) * 256 * rounds * 8 * 16;
    std::printf("{\"gpu\": \"%s\", \"copy_TB_s\": %.3f, \"fma_T_s\": %.2f, \"tensor_T_s\": %.1f, \"shared_TB_s\": %.2f, \"cache_64kB_TB_s\": %.2f, "
                "\"cache_16MB_TB_s\": %.2f, \"error\": \"%s\"}\n",
        properties.name, 2e-9 * bytes / copy, 1e-9 * blocks * 256.0 * rounds * 128 / fma, 1e-9 * blocks * 8.0 * rounds * 8 * 2048 / tensor, 1e-9 * reads / shared,
        1e-9 * reads / near, 1e-9 * reads / 4 / far, cudaGetErrorString(cudaDeviceSynchronize()));
}
