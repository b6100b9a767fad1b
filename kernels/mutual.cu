// Messages and gradients of both directions of a pair from one filter, where all atoms of a structure are of these rows and nothing
// repeats.
//
// The atoms of a structure are in bands. A block of threads has the pairs of two bands, or those within one, each pair in the row
// of its first atom: what comes to atoms of the second band is in shared memory for all pairs, what comes to those of the
// first is added up row by row. Warps go through the channels in turns, at any time each at other ones, and wait for each other
// after every turn, so that sums have one order and no number is added to by two at once. What several blocks have of an
// atom is in matrices of their own that `merge` adds up.

/// Messages of both directions.
KERNEL(mutual, MUTUAL_THREADS, 1)
{
    using Here = Meetings<false>;
    using Own = Desk<TILES, 0>;
    const Own desk(s);
    if (desk.empty()) {
        return;
    }
    const Network network(s, block);
    desk.lay(s, network);
    desk.skip(s, s.m, FILTER_STRIDE);
    const NearBasis functions = {desk.centers, s.basis};
    const int channel = 4 * (lane_id() % 4);
    const Real* y = kept(s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel);
    const unsigned step = s.splits * Own::STREAMS;
    Stream streams[TILES];
#pragma unroll
    for (int tile = 0; tile < TILES; ++tile) {
        streams[tile].open(desk, desk.split + s.splits * (TILES * warp_id() + tile), step);
    }
    Real* own = desk.own + TILES * warp_id() * BAND_STRIDE;
    const int rounds = desk.rounds(s);
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const Here pairs(s, desk, streams);
        const Hidden<false> hidden(functions, pairs, network.first, network.weights, network.scale[0]);
#pragma unroll 1
        for (int turn = 0; turn < TURNS; ++turn) {
            const int pair = (turn + warp_id()) % TURNS;
            if (pair < COLUMN_PAIRS) {
                Pack<4> w[2 * TILES];
                hidden.template filters<4>(desk.last, network.weights, network.scale[1], pair, w);
                // Else what follows is loaded ahead, and there are not enough registers for that.
                __syncwarp();
                float sums[TILES];
#pragma unroll
                for (int tile = 0; tile < TILES; ++tile) {
                    const unsigned n = streams[tile].n < desk.row_count ? streams[tile].n : 0;
                    const Pack<4> own_y = load<4>(row_of<FILTER_STRIDE>(y, desk.rows + n) + TILE * pair);
                    Pack<4> sum = {};
#pragma unroll
                    for (int k = 2 * tile; k < 2 * tile + 2; ++k) {
                        Pack<4> fw;
                        const int place = pairs.other[k] < 0 ? 0 : pairs.other[k];
                        const Pack<4> other_y = load<4>(row_of<FILTER_STRIDE>(y, desk.others + place) + TILE * pair);
#pragma unroll
                        for (int v = 0; v < 4; ++v) {
                            fw.v[v] = pairs.f[k] * w[k].v[v];
                            sum.v[v] += other_y.v[v] * fw.v[v];
                        }
                        if (pairs.other[k] >= 0) {
                            add_to(desk.band + place * BAND_STRIDE + TILE * pair + channel, own_y, fw);
                        }
                    }
                    sums[tile] = half_sum(sum);
                    // The next tile may have the same atoms.
                    __syncwarp();
                }
                const float given = __shfl_xor_sync(FULL, lane_tile() == 0 ? sums[1] : sums[0], 4);
                own[lane_tile() * BAND_STRIDE + TILE * pair + lane_channel()] +=
                    (lane_tile() == 0 ? sums[0] : sums[1]) + given;
            }
            __syncthreads();
        }
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
            Stream& stream = streams[tile];
            stream.done += TILE;
            if (stream.n < desk.row_count && stream.done >= desk.spans[stream.n].count) {
                Real* to = desk.part(s, s.m, desk.sent(), desk.rows + stream.n, FILTER_STRIDE);
                for (int at = lane_id(); at < FILTER_STRIDE; at += WARP) {
                    to[at] = own[tile * BAND_STRIDE + at];
                    own[tile * BAND_STRIDE + at] = 0;
                }
                __syncwarp();
                stream.open(desk, stream.n + step, step);
            }
        }
    }
    desk.finish(s);
}

/// dE/dy, and forces, of both atoms of each pair.
template <bool VIRIALS>
__device__ __forceinline__ void mutual_back_of(const System& s, int block)
{
    constexpr int WIDTH = VIRIALS ? 9 : 3;
    using Here = Meetings<true>;
    using Own = Desk<1, WIDTH>;
    const Own desk(s);
    if (desk.empty()) {
        return;
    }
    const Network network(s, block);
    desk.lay(s, network);
    const bool last = block == BLOCKS - 1;
    if (block > 0) {
        desk.skip(s, s.m, FILTER_STRIDE);
    }
    if (last) {
        desk.skip(s, s.pulls, WIDTH);
    }
    const NearBasis functions = {desk.centers, s.basis};
    const int quarter = lane_id() % 4;
    const int channel = 4 * quarter;
    const Real* y = kept(s.y + static_cast<unsigned long long>(block) * s.rows * FILTER_STRIDE + channel);
    const Real* g = kept(s.g + channel);
    const unsigned step = s.splits * Own::STREAMS;
    Stream streams[1];
    streams[0].open(desk, desk.split + s.splits * warp_id(), step);
    Real* own = desk.own + warp_id() * BAND_STRIDE;
    Real* pulls = desk.pulls + warp_id() * BAND_ROWS * WIDTH;
    // A lane has one axis of the row's force, and of its virial two numbers.
    constexpr int EACH = VIRIALS ? 3 : 1;
    float pull[EACH] = {};
    const int rounds = desk.rounds(s);
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const Here pairs(s, desk, streams);
        const Hidden<true> hidden(functions, pairs, network.first, network.weights, network.scale[0]);
        float total[2] = {};
        const unsigned n = streams[0].n < desk.row_count ? streams[0].n : 0;
#pragma unroll 1
        for (int turn = 0; turn < TURNS; ++turn) {
            const int pair = (turn + warp_id()) % TURNS;
            if (pair < COLUMN_PAIRS) {
                Pack<4> w[2 * TILES];
                hidden.template filters<4>(desk.last, network.weights, network.scale[1], pair, w);
                // Else what follows is loaded ahead, and there are not enough registers for that.
                __syncwarp();
                const Pack<4> own_y = load<4>(row_of<FILTER_STRIDE>(y, desk.rows + n) + TILE * pair);
                const Pack<4> own_g = load<4>(row_of<FILTER_STRIDE>(g, desk.rows + n) + TILE * pair);
                Pack<4> sum = {};
#pragma unroll
                for (int k = 0; k < 2; ++k) {
                    Pack<4> fw;
                    const int place = pairs.other[k] < 0 ? 0 : pairs.other[k];
                    const Pack<4> other_y = load<4>(row_of<FILTER_STRIDE>(y, desk.others + place) + TILE * pair);
                    const Pack<4> other_g = load<4>(row_of<FILTER_STRIDE>(g, desk.others + place) + TILE * pair);
#pragma unroll
                    for (int v = 0; v < 4; ++v) {
                        const float both = other_g.v[v] * own_y.v[v] + own_g.v[v] * other_y.v[v];
                        fw.v[v] = pairs.f[k] * w[k].v[v];
                        total[k] += both * (pairs.f[k] * w[2 + k].v[v] + pairs.df[k] * w[k].v[v]);
                        sum.v[v] += other_g.v[v] * fw.v[v];
                    }
                    if (block > 0 && pairs.other[k] >= 0) {
                        add_to(desk.band + place * BAND_STRIDE + TILE * pair + channel, own_g, fw);
                    }
                }
                if (block > 0) {
                    const float half = half_sum(sum);
                    const float all = half + __shfl_xor_sync(FULL, half, 4);
                    if (lane_tile() == 0) {
                        own[TILE * pair + lane_channel()] += all;
                    }
                }
            }
            __syncthreads();
        }
        Stream& stream = streams[0];
        const Span span = desk.spans[n];
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            // The four lanes of a pair have its channels between them.
            float slope = total[k] + __shfl_xor_sync(FULL, total[k], 1);
            slope += __shfl_xor_sync(FULL, slope, 2);
            if (pairs.other[k] >= 0 && quarter < 3) {
                const Arm arm = s.arms[span.first + stream.done + 8 * k + lane_id() / 4];
                const Real axis = quarter == 0 ? arm.direction[0] : quarter == 1 ? arm.direction[1] : arm.direction[2];
                Real* to = pulls + pairs.other[k] * WIDTH;
                pull[0] += slope * axis;
                to[quarter] -= slope * axis;
                if constexpr (VIRIALS) {
                    const Real half = Real(-0.5) * slope * arm.inverse;
                    const Real one = half * arm.direction[0] * axis;
                    const Real two = half * (quarter < 2 ? arm.direction[1] : arm.direction[2])
                        * (quarter == 0 ? arm.direction[1] : arm.direction[2]);
                    pull[1] += one;
                    pull[2] += two;
                    to[3 + quarter] += one;
                    to[6 + quarter] += two;
                }
            }
        }
        // Other lanes have the same atoms in the next round.
        __syncwarp();
        stream.done += TILE;
        if (stream.n < desk.row_count && stream.done >= span.count) {
            if (block > 0) {
                Real* to = desk.part(s, s.m, desk.sent(), desk.rows + stream.n, FILTER_STRIDE);
                for (int at = lane_id(); at < FILTER_STRIDE; at += WARP) {
                    to[at] = own[at];
                    own[at] = 0;
                }
                __syncwarp();
            }
            double* to = desk.part(s, s.pulls, desk.sent(), desk.rows + stream.n, WIDTH);
#pragma unroll
            for (int each = 0; each < EACH; ++each) {
                float all = pull[each];
#pragma unroll
                for (int apart = WARP / 2; apart > 2; apart /= 2) {
                    all += __shfl_xor_sync(FULL, all, apart);
                }
                if (lane_id() < 3) {
                    double& number = to[3 * each + lane_id()];
                    number = last ? all : number + all;
                }
                pull[each] = 0;
            }
            stream.open(desk, stream.n + step, step);
        }
    }
    if (block > 0) {
        desk.finish(s);
    }
    __syncthreads();
    const unsigned received = desk.bands.received(s, desk.second_band, desk.first_band, desk.split);
    double* to = desk.part(s, s.pulls, received, desk.others, WIDTH);
    for (unsigned at = threadIdx.x; at < desk.other_count * WIDTH; at += MUTUAL_THREADS) {
        double all = 0;
        for (int warp = 0; warp < MUTUAL_WARPS; ++warp) {
            all += desk.pulls[warp * BAND_ROWS * WIDTH + at];
        }
        to[at] = last ? all : to[at] + all;
    }
}

KERNEL(mutual_back, MUTUAL_THREADS, 1) { mutual_back_of<false>(s, block); }
KERNEL(mutual_back_virials, MUTUAL_THREADS, 1) { mutual_back_of<true>(s, block); }
