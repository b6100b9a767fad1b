// Messages and gradients of both directions of a pair from one filter, where all atoms of a structure are of these rows and nothing
// repeats.
//
// The atoms of a structure are in bands. A block of threads has the pairs of two bands, or those within one, each pair in the row
// of its first atom: what comes to atoms of the second band is in shared memory for all pairs, what comes to those of the
// first is added up row by row. Warps go through the channels in turns, at any time each at other ones, and wait for each other
// after every turn, so that sums have one order and no number is added to by two at once. What several blocks have of an
// atom is in matrices of their own that `merge` adds up.

/// What there is to know of a pair to evaluate its filter; the rest is in a `Bend` and an `Arm`.
struct alignas(16) Meeting {
    /// Place of the second atom in its band.
    unsigned other;
    /// What basis functions are functions of, in two numbers.
    Real high;
    Real low;
    /// The filter's envelope.
    Real f;
};

/// The bands of a structure.
struct Bands {
    unsigned start;
    unsigned atoms;
    unsigned count;
    unsigned size;

    __device__ __forceinline__ Bands(const System& s, unsigned structure)
    {
        start = s.structures[structure];
        atoms = s.structures[structure + 1] - start;
        count = (atoms + BAND_ROWS - 1) / BAND_ROWS;
        size = count > 0 ? (atoms + count - 1) / count : 1;
    }

    __device__ __forceinline__ unsigned of(unsigned row) const { return (row - start) / size; }

    /// The first row of a band, or the end of the one before.
    __device__ __forceinline__ unsigned first(unsigned band) const
    {
        return start + (band * size < atoms ? band * size : atoms);
    }

    /// Matrices that have something of an atom of a band: first its rows with each band from its own on, then what it is the second
    /// atom of.
    __device__ __forceinline__ unsigned parts(const System& s, unsigned band) const
    {
        return received(s, band, band, s.splits);
    }

    __device__ __forceinline__ unsigned received(const System& s, unsigned band, unsigned first_band, unsigned split) const
    {
        return count - band + first_band * s.splits + split;
    }
};

/// Pairs of a row whose other atom comes later, band by band and in each by distance.
KERNEL(meet, GEOMETRY_THREADS, 1)
{
    SHARED(unsigned, memory);
    const unsigned row = blockIdx.x * (blockDim.x / WARP) + warp_id();
    if (row >= s.rows) {
        return;
    }
    const int lane = lane_id();
    const Bands bands(s, s.structure[row]);
    const int count = static_cast<int>(s.bands) * BINS;
    unsigned* bins = memory + warp_id() * count;
    sort_row_by(
        s, row, bins, count,
        [&](unsigned other, int interval) {
            return other > row ? static_cast<int>(bands.of(other)) * BINS + interval : -1;
        },
        [](unsigned) {},
        [&](unsigned long long to, unsigned other, int, double r, double, double, const double(&d)[3]) {
            const double x = BASIS == EXPONENTIAL_NORMAL ? exp(-BASIS_ALPHA * (r - BASIS_START)) : r;
            double f;
            double df;
            envelope<FILTER_ENVELOPE>(r, FILTER_ENVELOPE_END, FILTER_ENVELOPE_LOWER, FILTER_ENVELOPE_WIDTH, f, df);
            Meeting meeting;
            meeting.other = other - bands.first(bands.of(other));
            meeting.high = static_cast<Real>(x);
            meeting.low = static_cast<Real>(x - meeting.high);
            meeting.f = static_cast<Real>(f);
            reinterpret_cast<Meeting*>(s.edges)[to] = meeting;
            Bend bend;
            bend.df = static_cast<Real>(df);
            envelope<BASIS_ENVELOPE>(r, BASIS_ENVELOPE_END, BASIS_ENVELOPE_LOWER, BASIS_ENVELOPE_WIDTH, f, df);
            bend.basis_f = static_cast<Real>(f) * INPUT_SCALE;
            bend.basis_df = static_cast<Real>(df) * INPUT_SCALE;
            bend.unused = 0;
            s.bends[to] = bend;
            Arm arm;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                arm.direction[axis] = static_cast<Real>(d[axis] / r);
            }
            arm.inverse = static_cast<Real>(r);
            s.arms[to] = arm;
        });
    for (unsigned band = lane; band < s.bands; band += WARP) {
        s.ends[band * s.rows + row] = bins[(band + 1) * BINS - 1];
    }
    if constexpr (MEAN_MESSAGES) {
        const Candidates candidates(s, row);
        unsigned near = 0;
        for (unsigned at = lane; at < candidates.count; at += WARP) {
            double d[3];
            difference(s, row, candidates.first + at, candidates.atom(s, row, at), d);
            near += d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < CUTOFF * CUTOFF ? 1 : 0;
        }
        const double all = group_sum<WARP>(near);
        if (lane == 0) {
            s.counts[row] = static_cast<unsigned>(all);
        }
    }
}

/// Numbers of a basis function in shared memory, its centre in two parts.
struct Center {
    float high;
    float low;
    float rate;
    float unused;
};

/// The basis in shared memory.
struct NearBasis {
    const Center* centers;
    const double* numbers;

    __device__ __forceinline__ bool wanted(int k, float least, float most) const
    {
        return basis_wanted(centers[k].high, centers[k].rate, least, most);
    }

    /// As `Basis` has it, in float32.
    template <class Of>
    __device__ __forceinline__ void operator()(int k, const Of& pairs, int at, Real& value, Real& slope) const
    {
        if constexpr (BASIS == BESSEL) {
            basis_function(numbers, k, pairs.high[at], 0.0, value, slope);
        } else {
            const Center center = centers[k];
            const float u = (pairs.high[at] - center.high) + (pairs.low[at] - center.low);
            const float t = center.rate * u;
            if constexpr (BASIS == GAUSSIAN) {
                value = exp(Real(-0.5) * t * t);
                slope = -t * center.rate * value;
            } else {
                value = exp(-t * u);
                slope = 2.0f * t * (static_cast<float>(BASIS_ALPHA) * pairs.high[at]) * value;
            }
        }
    }
};

constexpr int MUTUAL_WARPS = MUTUAL_THREADS / WARP;
/// Distance of rows of sums in shared memory, so that not all of them begin in the same bank.
constexpr int BAND_STRIDE = FILTER_STRIDE + TILE;
/// Turns in which each warp has all channels once.
constexpr int TURNS = COLUMN_PAIRS > MUTUAL_WARPS ? COLUMN_PAIRS : MUTUAL_WARPS;
/// Numbers of four weights of the last layer.
constexpr int LAST_FRAGMENTS = 2 * (FilterMatrix<1>::LOW - FilterMatrix<1>::HIGH);

/// Where the pairs of a row with the second band lie.
struct alignas(16) Span {
    unsigned long long first;
    int count;
    int unused;
};

/// A block's pairs, and its shared memory: HELD rows of a warp at a time, WIDTH numbers of forces and virials.
template <int HELD, int WIDTH>
struct Desk {
    static constexpr int STREAMS = HELD * MUTUAL_WARPS;
    unsigned first_band;
    unsigned second_band;
    unsigned split;
    Bands bands;
    /// The first rows of both bands, and how many there are.
    unsigned rows;
    unsigned others;
    unsigned row_count;
    unsigned other_count;
    uint4* last;
    Center* centers;
    Span* spans;
    /// Sums of the second band's atoms.
    Real* band;
    /// Sums of the rows that warps are at.
    Real* own;
    /// Forces and virials of the second band's atoms, of each warp.
    Real* pulls;

    /// Blocks with two bands come first, since they have most to do.
    __device__ __forceinline__ Desk(const System& s) : bands(s, structure_of(s))
    {
        const unsigned pairs = s.bands * (s.bands - 1) / 2;
        const unsigned structures = structure_count(s);
        split = blockIdx.x / structures % s.splits;
        unsigned item = blockIdx.x / (structures * s.splits);
        first_band = item - pairs;
        second_band = item - pairs;
        if (item < pairs) {
            for (first_band = 0; item >= s.bands - 1 - first_band; ++first_band) {
                item -= s.bands - 1 - first_band;
            }
            second_band = first_band + 1 + item;
        }
        rows = bands.first(first_band);
        others = bands.first(second_band);
        row_count = bands.first(first_band + 1) - rows;
        other_count = bands.first(second_band + 1) - others;
        SHARED(uint4, memory);
        last = memory;
        centers = reinterpret_cast<Center*>(last + LAST_FRAGMENTS);
        spans = reinterpret_cast<Span*>(centers + BASIS_SIZE);
        band = reinterpret_cast<Real*>(spans + BAND_ROWS);
        own = band + BAND_ROWS * BAND_STRIDE;
        pulls = own + STREAMS * BAND_STRIDE;
    }

    __device__ __forceinline__ static unsigned structure_count(const System& s)
    {
        return gridDim.x / (s.bands * (s.bands + 1) / 2 * s.splits);
    }

    __device__ __forceinline__ static unsigned structure_of(const System& s)
    {
        return blockIdx.x % structure_count(s);
    }

    __device__ __forceinline__ bool empty() const { return second_band >= bands.count; }

    /// Brings to shared memory what all pairs need, and zeros. All threads of the block take part.
    __device__ __forceinline__ void lay(const System& s, const Network& network) const
    {
        for (int at = threadIdx.x; at < LAST_FRAGMENTS; at += MUTUAL_THREADS) {
            last[at] = network.last[at];
        }
        for (int k = threadIdx.x; k < BASIS_SIZE; k += MUTUAL_THREADS) {
            Center center;
            center.high = static_cast<float>(s.basis[k]);
            center.low = static_cast<float>(s.basis[k] - center.high);
            center.rate = BASIS == BESSEL ? 0.0f : static_cast<float>(s.basis[BASIS_SIZE + k]);
            center.unused = 0;
            centers[k] = center;
        }
        for (unsigned n = threadIdx.x; n < row_count; n += MUTUAL_THREADS) {
            const unsigned row = rows + n;
            const unsigned begin = second_band > 0 ? s.ends[(second_band - 1) * s.rows + row] : 0;
            Span span;
            span.first = s.starts[row] + begin;
            span.count = static_cast<int>(s.ends[second_band * s.rows + row] - begin);
            span.unused = 0;
            spans[n] = span;
        }
        const int numbers = BAND_ROWS * BAND_STRIDE + STREAMS * BAND_STRIDE + MUTUAL_WARPS * BAND_ROWS * WIDTH;
        for (int at = threadIdx.x; at < numbers; at += MUTUAL_THREADS) {
            band[at] = 0;
        }
        __syncthreads();
    }

    /// The most tiles that a warp's rows have, and every warp's.
    __device__ __forceinline__ int rounds(const System& s) const
    {
        int most = 0;
        for (int stream = 0; stream < STREAMS; ++stream) {
            unsigned tiles = 0;
            for (unsigned n = split + s.splits * (stream + STREAMS * lane_id()); n < row_count; n += s.splits * STREAMS * WARP) {
                tiles += (spans[n].count + TILE - 1) / TILE;
            }
            const int all = static_cast<int>(group_sum<WARP>(tiles));
            most = all > most ? all : most;
        }
        return most;
    }

    /// Where this block's sums of a row's atom, or of the second band's, begin in matrices of `width` numbers a row.
    template <class Number>
    __device__ __forceinline__ Number* part(const System& s, Number* matrices, unsigned number, unsigned row, int width) const
    {
        return matrices + (static_cast<unsigned long long>(number) * s.rows + row) * width;
    }

    __device__ __forceinline__ unsigned sent() const { return second_band - first_band; }

    /// Zeros for rows without pairs, which no warp comes to.
    template <class Number>
    __device__ __forceinline__ void skip(const System& s, Number* matrices, int width) const
    {
        for (unsigned at = threadIdx.x; at < row_count * width; at += MUTUAL_THREADS) {
            const unsigned n = at / width;
            if (n % s.splits == split && spans[n].count == 0) {
                part(s, matrices, sent(), rows + n, width)[at % width] = 0;
            }
        }
    }

    /// Stores the sums of the second band's atoms.
    __device__ __forceinline__ void finish(const System& s) const
    {
        for (unsigned at = threadIdx.x; at < other_count * FILTER_STRIDE; at += MUTUAL_THREADS) {
            const unsigned n = at / FILTER_STRIDE;
            const unsigned channel = at % FILTER_STRIDE;
            part(s, s.m, bands.received(s, second_band, first_band, split), others + n, FILTER_STRIDE)[channel] =
                band[n * BAND_STRIDE + channel];
        }
    }
};

/// The rows of which a warp has a tile at a time, one after another.
struct Stream {
    unsigned n;
    int done;

    /// The first row with pairs from the `from`th on.
    template <class Of>
    __device__ __forceinline__ void open(const Of& desk, unsigned from, unsigned step)
    {
        done = 0;
        n = from;
        while (n < desk.row_count && desk.spans[n].count == 0) {
            n += step;
        }
    }
};

/// The pairs of a warp's tiles as `Pairs` has them, from what `meet` left.
template <bool SLOPES>
struct Meetings {
    static constexpr int HELD = SLOPES ? 1 : TILES;
    /// Negative if there is no such pair.
    int other[2 * HELD];
    float f[2 * HELD];
    float df[2 * HELD];
    float high[2 * HELD];
    float low[2 * HELD];
    float basis_f[2 * HELD];
    float basis_df[2 * HELD];
    float least;
    float most;

    template <class Of>
    __device__ __forceinline__ Meetings(const System& s, const Of& desk, const Stream (&streams)[HELD])
    {
        const int tile = HELD > 1 ? lane_id() / TILE : 0;
        const Stream stream = tile == 0 ? streams[0] : streams[HELD - 1];
        const bool open = stream.n < desk.row_count;
        const Span span = desk.spans[open ? stream.n : 0];
        const int own = stream.done + lane_id() % TILE;
        const bool there = open && own < span.count;
        Meeting meeting = {};
        Bend bend = {};
        if (there) {
            meeting = reinterpret_cast<const Meeting*>(s.edges)[span.first + own];
            bend = s.bends[span.first + own];
        }
        const int place = there ? static_cast<int>(meeting.other) : -1;
        constexpr float FAR = 1e30f;
        float unused;
        warp_range(there ? meeting.high : FAR, least, unused);
        warp_range(there ? meeting.high : -FAR, unused, most);
#pragma unroll
        for (int k = 0; k < 2 * HELD; ++k) {
            const int pair = 8 * k + lane_id() / 4;
            other[k] = __shfl_sync(FULL, place, pair);
            f[k] = __shfl_sync(FULL, meeting.f, pair);
            df[k] = SLOPES ? __shfl_sync(FULL, bend.df, pair) : 0.0f;
            high[k] = __shfl_sync(FULL, meeting.high, pair);
            low[k] = __shfl_sync(FULL, meeting.low, pair);
            basis_f[k] = __shfl_sync(FULL, bend.basis_f, pair);
            basis_df[k] = SLOPES ? __shfl_sync(FULL, bend.basis_df, pair) : 0.0f;
        }
    }
};

/// Sums of four channels over the 8 rows that lanes with the same lane % 4 have, of one tile or two: every lane gets one channel of
/// one tile, `lane_channel` of `lane_tile`.
__device__ __forceinline__ float half_sum(const Pack<4>& sum)
{
    const bool upper = lane_id() & 16;
    const bool odd = lane_id() & 8;
    float two[2];
#pragma unroll
    for (int v = 0; v < 2; ++v) {
        const float given = __shfl_xor_sync(FULL, upper ? sum.v[v] : sum.v[2 + v], 16);
        two[v] = (upper ? sum.v[2 + v] : sum.v[v]) + given;
    }
    const float given = __shfl_xor_sync(FULL, odd ? two[0] : two[1], 8);
    return (odd ? two[1] : two[0]) + given;
}

__device__ __forceinline__ int lane_tile() { return lane_id() >> 2 & 1; }

__device__ __forceinline__ int lane_channel() { return 4 * (lane_id() % 4) + (lane_id() >> 4 & 1) * 2 + (lane_id() >> 3 & 1); }

/// Adds to four numbers in shared memory.
__device__ __forceinline__ void add_to(Real* at, const Pack<4>& own, const Pack<4>& fw)
{
    Pack<4> sum = load<4>(at);
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        sum.v[v] += own.v[v] * fw.v[v];
    }
    store(at, sum);
}

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

/// Adds up what blocks have of messages, or of dE/dy, into the first matrix.
KERNEL(merge, START_THREADS, 1)
{
    constexpr unsigned FOURS = FILTER_STRIDE / 4;
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned row = at / FOURS;
    if (row >= s.rows) {
        return;
    }
    const Bands bands(s, s.structure[row]);
    const unsigned parts = bands.parts(s, bands.of(row));
    Real* own = s.m + static_cast<unsigned long long>(row) * FILTER_STRIDE + 4 * (at % FOURS);
    Pack<4> sum = load<4>(own);
    for (unsigned part = 1; part < parts; ++part) {
        const Pack<4> next = load<4>(own + static_cast<unsigned long long>(part) * s.rows * FILTER_STRIDE);
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            sum.v[v] += next.v[v];
        }
    }
    store(own, sum);
}

/// The same of forces and virials.
KERNEL(merge_pulls, START_THREADS, 1)
{
    const unsigned width = s.virials != nullptr ? 9 : 3;
    const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned row = at / width;
    if (row >= s.rows) {
        return;
    }
    const Bands bands(s, s.structure[row]);
    const unsigned parts = bands.parts(s, bands.of(row));
    double sum = 0;
    for (unsigned part = 0; part < parts; ++part) {
        sum += s.pulls[static_cast<unsigned long long>(part) * s.rows * width + at];
    }
    const unsigned number = at % width;
    if (number < 3) {
        s.forces[3ull * row + number] = sum;
    } else {
        s.virials[6ull * row + number - 3] = sum;
    }
}
