// Where the network ends: energies of atoms, their gradients, and sums over structures.

/// From features to energies, back to dE/dx, and to dE/dm of the last block.
struct ReadoutLayers {
    static constexpr int COUNT = 2 * READOUT_LAYERS + 2;
    template <int NUMBER>
    using At = Choose<(NUMBER < READOUT_LAYERS), Matrix<ReadoutLayer<NUMBER>, false>,
        Choose<(NUMBER < 2 * READOUT_LAYERS), Matrix<ReadoutLayer<2 * READOUT_LAYERS - 1 - NUMBER>, true>,
            Choose<NUMBER == 2 * READOUT_LAYERS, Matrix<Mix, true>, Matrix<F2out, true>>>>;

    template <int NUMBER>
    __device__ __forceinline__ static int owner(int)
    {
        return NUMBER < 2 * READOUT_LAYERS ? 0 : BLOCKS - 1;
    }

    template <int NUMBER>
    __device__ __forceinline__ static const Real* weights(const System& s, int block)
    {
        return NUMBER < 2 * READOUT_LAYERS ? s.weights : block_weights(s, owner<NUMBER>(block));
    }
};
using ReadoutRows = Chain<ReadoutLayers, READOUT_ROWS, READOUT_WIDTH, READOUT_HIDDEN>;

/// The layers from LAYER on, with what goes into the activations kept.
template <int LAYER, class Output>
__device__ __forceinline__ void readout_forward(ReadoutRows& rows, Output output)
{
    using Layer = ReadoutLayer<LAYER>;
    if constexpr (LAYER + 1 == READOUT_LAYERS) {
        rows.template last<LAYER>([&](int row, int column, const Columns& sum, const Columns& b) {
            if (column == 0) {
                output(row, sum.v[0] + b.v[0]);
            }
        });
    } else {
        rows.template product<LAYER>([&](int row, int column, const Columns& sum, const Columns& b) {
            Columns z;
            Columns after;
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                Real slope;
                z.v[v] = sum.v[v] + b.v[v];
                activation<READOUT_ACTIVATION>(z.v[v], after.v[v], slope);
            }
            store(rows.kept + row * READOUT_HIDDEN + Layer::COLUMN + column, z);
            return after;
        });
        readout_forward<LAYER + 1>(rows, output);
    }
}

/// The gradient by the readout's input, from that by the output of LAYER.
template <int LAYER>
__device__ __forceinline__ void readout_backward(ReadoutRows& rows)
{
    rows.template product<2 * READOUT_LAYERS - 1 - LAYER>([&](int row, int column, const Columns& sum, const Columns&) {
        Columns out = sum;
        if constexpr (LAYER > 0) {
            using Below = ReadoutLayer<LAYER - 1>;
            const Columns z = load<DENSE_COLUMNS>(rows.kept + row * READOUT_HIDDEN + Below::COLUMN + column);
#pragma unroll
            for (int v = 0; v < DENSE_COLUMNS; ++v) {
                Real value;
                Real slope;
                activation<READOUT_ACTIVATION>(z.v[v], value, slope);
                out.v[v] *= slope;
            }
        } else if (row < rows.count) {
            store(at_row(rows.s.gradient, rows.atom(row), FEATURE_STRIDE, column), out);
        }
        return out;
    });
    if constexpr (LAYER > 0) {
        readout_backward<LAYER - 1>(rows);
    }
}

/// Share of an atom in its structure's energy.
__device__ __forceinline__ double energy_weight(const System& s, unsigned long long atom)
{
    if constexpr (MEAN_ENERGY) {
        const unsigned structure = s.structure[atom];
        return 1.0 / (s.structures[structure + 1] - s.structures[structure]);
    } else {
        return 1.0;
    }
}

/// Energies of atoms, dE/dx and dE/dm of the last block. `block` is 0 if no gradients are wanted.
KERNEL(readout, DENSE_THREADS, DENSE_BLOCKS)
{
    ReadoutRows rows(s, block);
    rows.template fetch<FEATURE_STRIDE, 1>(s.x);
    readout_forward<0>(rows, [&](int row, Real output) {
        if (row < rows.count) {
            const unsigned long long atom = rows.atom(row);
            s.atom_energies[atom] =
                energy_weight(s, atom) * (SCALE * output + SHIFT + s.references[s.types[atom]]);
        }
    });
    if (block == 0) {
        return;
    }
    rows.begin([&](int row) { return static_cast<Real>(SCALE * energy_weight(s, rows.atom(row))); });
    readout_backward<READOUT_LAYERS - 1>(rows);
    message_gradient<2 * READOUT_LAYERS>(s, BLOCKS - 1, rows);
}

/// Adds the slices' forces and virials of every row; the sum is left in the first slice.
KERNEL(collect, START_THREADS, 1)
{
    const unsigned long long at = static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const unsigned long long forces = 3ull * s.rows;
    const unsigned long long virials = s.virials != nullptr ? 6ull * s.rows : 0;
    if (at < forces) {
        double sum = s.forces[at];
        for (int slice = 1; slice < FORCE_SLICES; ++slice) {
            sum += s.forces[slice * forces + at];
        }
        s.forces[at] = sum;
    }
    if (at < virials) {
        double sum = s.virials[at];
        for (int slice = 1; slice < FORCE_SLICES; ++slice) {
            sum += s.virials[slice * virials + at];
        }
        s.virials[at] = sum;
    }
}

/// The sum of a column of numbers over some rows, by one block in one order.
__device__ __forceinline__ double block_sum(
    const double* numbers, unsigned first, unsigned last, int width, int column, double* memory)
{
    double sum = 0.0;
    for (unsigned long long row = first + threadIdx.x; row < last; row += blockDim.x) {
        sum += numbers[row * width + column];
    }
    sum = group_sum<WARP>(sum);
    __syncthreads();
    if (lane_id() == 0) {
        memory[warp_id()] = sum;
    }
    __syncthreads();
    sum = 0.0;
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / WARP; ++warp) {
        sum += memory[warp];
    }
    return sum;
}

/// Energies and virials of structures, a block a structure. `block` is the number of structures; ghosts belong to the
/// last of them.
KERNEL(total, TOTAL_THREADS, 1)
{
    __shared__ double memory[TOTAL_THREADS / WARP];
    const unsigned structure = blockIdx.x;
    const unsigned first = s.structures[structure];
    const unsigned last = s.structures[structure + 1];
    const double energy = block_sum(s.atom_energies, first, last, 1, 0, memory);
    if (threadIdx.x == 0) {
        s.energies[structure] = energy;
    }
    if (s.virials == nullptr) {
        return;
    }
    const unsigned end = structure + 1 == static_cast<unsigned>(block) ? s.rows : last;
    for (int part = 0; part < 6; ++part) {
        const double sum = block_sum(s.virials, first, end, 6, part, memory);
        if (threadIdx.x == 0) {
            s.structure_virials[6 * structure + part] = sum;
        }
    }
}
