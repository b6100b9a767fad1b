// Radial basis functions and envelopes, for kernels that evaluate filter networks.

/// φₖ(r) and its derivative; what the numbers of a basis are is said in src/model/network.rs.
__device__ __forceinline__ void basis_function(const double* basis, int k, double r, double inner, Real& value, Real& slope)
{
    const double a = basis[k];
    if constexpr (BASIS == GAUSSIAN) {
        const double inverse_width = basis[BASIS_SIZE + k];
        const Real u = static_cast<Real>((r - a) * inverse_width);
        value = exp(Real(-0.5) * u * u);
        slope = -u * static_cast<Real>(inverse_width) * value;
    } else if constexpr (BASIS == EXPONENTIAL_NORMAL) {
        const Real beta = static_cast<Real>(basis[BASIS_SIZE + k]);
        const Real u = static_cast<Real>(inner - a);
        value = exp(-beta * u * u);
        slope = Real(2) * beta * u * static_cast<Real>(BASIS_ALPHA * inner) * value;
    } else {
        const double z = a * r;
        const double z2 = z * z;
        if (z2 < 1e-4) {
            // Where the differences below would cancel, their series are exact to rounding.
            value = static_cast<Real>(a * (1.0 - z2 / 6.0 * (1.0 - z2 / 20.0 * (1.0 - z2 / 42.0))));
            slope = static_cast<Real>(-a * a * z / 3.0 * (1.0 - z2 / 10.0 * (1.0 - z2 / 28.0)));
        } else {
            const double f = sin(z) / r;
            value = static_cast<Real>(f);
            slope = static_cast<Real>((a * cos(z) - f) / r);
        }
    }
}

/// Whether a basis function or its derivative is anything at all for any pair; `least` and `most` bound exp(−α(r − start)) of theirs
/// if that is what the functions are of, else r.
__device__ __forceinline__ bool basis_wanted(float a, float rate, float least, float most)
{
    const float away = a < least ? least - a : a > most ? a - most : 0.0f;
    // e to minus this, and four times that of a derivative, are beyond float32 next to functions of size 1.
    constexpr float NOTHING = 20.0f;
    if constexpr (BASIS == GAUSSIAN) {
        const float u = away * rate;
        return 0.5f * u * u < NOTHING;
    } else if constexpr (BASIS == EXPONENTIAL_NORMAL) {
        return rate * away * away < NOTHING;
    } else {
        return true;
    }
}

/// The numbers of the basis where they always are.
struct Basis {
    const double* numbers;

    __device__ __forceinline__ bool wanted(int k, float least, float most) const
    {
        return basis_wanted(static_cast<float>(numbers[k]),
            BASIS == BESSEL ? 0.0f : static_cast<float>(numbers[BASIS_SIZE + k]), least, most);
    }

    /// φₖ of pair `at` of `pairs`, and its derivative.
    template <class Pairs>
    __device__ __forceinline__ void operator()(int k, const Pairs& pairs, int at, Real& value, Real& slope) const
    {
        basis_function(numbers, k, pairs.r[at], pairs.inner[at], value, slope);
    }
};

/// f(r) and df/dr of an envelope that ends at `end`.
template <int KIND>
__device__ __forceinline__ void envelope(double r, double end, double lower, double width, double& value, double& slope)
{
    constexpr double PI = 3.14159265358979323846;
    value = 0.0;
    slope = 0.0;
    if constexpr (KIND == NO_ENVELOPE) {
        value = 1.0;
    } else if constexpr (KIND == COSINE) {
        if (r < end && (lower == 0.0 || r > lower)) {
            const double rate = lower > 0.0 ? 2.0 * PI / (end - lower) : PI / end;
            const double phase = lower > 0.0 ? (r - lower) * rate + PI : r * rate;
            value = 0.5 * (cos(phase) + 1.0);
            slope = -0.5 * sin(phase) * rate;
        }
    } else if constexpr (KIND == SHIFTED_COSINE) {
        if (r <= end - width) {
            value = 1.0;
        } else if (r < end) {
            const double phase = PI * (r - end + width) / width;
            value = 0.5 * (cos(phase) + 1.0);
            slope = -0.5 * sin(phase) * PI / width;
        }
    } else {
        const double x = r / end;
        const double rest = 1.0 - x * x;
        if (r < end && rest > 0.0) {
            value = exp(1.0 - 1.0 / rest);
            // Close to the end the value underflows before the factor overflows.
            slope = value > 0.0 ? -2.0 * x / (rest * rest) / end * value : 0.0;
        }
    }
}
