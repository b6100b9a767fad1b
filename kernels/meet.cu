// The order of pairs that are evaluated once for both directions (see kernels/mutual.cu).

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
