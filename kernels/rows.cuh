// Sums over the pairs of a row, which every source of filters hands to the same few functions.

/// Forces and virials of a row as one lane sees them: the sums over its own channels.
template <bool VIRIALS>
struct Pull {
    Real force[3] = {};
    Real virial[6] = {};

    /// Adds a pair whose dE/dt over this lane's channels is `slope`.
    __device__ __forceinline__ void add(const Arm& arm, Real slope)
    {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            force[axis] += slope * arm.direction[axis];
        }
        if constexpr (VIRIALS) {
            const Real half = Real(-0.5) * slope * arm.inverse;
            int at = 0;
#pragma unroll
            for (int a = 0; a < 3; ++a) {
#pragma unroll
                for (int b = a; b < 3; ++b) {
                    virial[at++] += half * arm.direction[a] * arm.direction[b];
                }
            }
        }
    }

    /// Adds up what the same lanes of COUNT warps side by side have, in their order, to the first of them. All threads of
    /// the block take part.
    template <int COUNT>
    __device__ __forceinline__ void gather()
    {
        if constexpr (COUNT > 1) {
            SHARED(Real, memory);
            const auto add = [&](Real& number) {
                __syncthreads();
                memory[threadIdx.x] = number;
                __syncthreads();
                if (warp_id() % COUNT == 0) {
                    for (int warp = 1; warp < COUNT; ++warp) {
                        number += memory[threadIdx.x + warp * WARP];
                    }
                }
            };
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                add(force[axis]);
            }
            if constexpr (VIRIALS) {
#pragma unroll
                for (int part = 0; part < 6; ++part) {
                    add(virial[part]);
                }
            }
        }
    }

    /// Adds the sums over GROUP_ lanes to the row's, or puts them there; all lanes of the warp take part.
    template <int GROUP_>
    __device__ __forceinline__ void finish(const System& s, unsigned long long row, bool there, bool first) const
    {
        // Summed in float64: three numbers a row cost nothing.
        const bool writes = there && threadIdx.x % GROUP_ == 0;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double sum = group_sum<GROUP_>(force[axis]);
            if (writes) {
                s.forces[3 * row + axis] = first ? sum : s.forces[3 * row + axis] + sum;
            }
        }
        if constexpr (VIRIALS) {
#pragma unroll
            for (int part = 0; part < 6; ++part) {
                const double sum = group_sum<GROUP_>(virial[part]);
                if (writes) {
                    s.virials[6 * row + part] = first ? sum : s.virials[6 * row + part] + sum;
                }
            }
        }
    }
};
