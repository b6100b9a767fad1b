// A block's part of the pairs that are evaluated once for both directions (see kernels/mutual.cu): which they are, what all of them need
// in shared memory, and tiles of them as warps take them.

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
