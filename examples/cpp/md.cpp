// Molecular dynamics of 216 atoms of NaCl at constant energy, by velocity Verlet: md [MODEL [STEPS]]
// Units are the model's (Å, eV) and atomic mass units; a unit of time is then 10.18 fs.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <flashschnet.hpp>
#include <random>
#include <vector>

namespace {

constexpr int side = 6, atoms = side * side * side;

void run(const char *path, int steps) {
    const double spacing = 2.7324, box = side * spacing, dt = 1.0 / 10.180505, kT = 8.617333e-5 * 300.0;
    const std::array<double, 9> cell{box, 0.0, 0.0, 0.0, box, 0.0, 0.0, 0.0, box};
    std::vector<std::array<double, 3>> r(atoms), v(atoms), forces(atoms);
    std::vector<double> m(atoms);
    std::vector<std::int32_t> types(atoms);
    std::minstd_rand random;
    const auto uniform = [&random] { return 2.0 * static_cast<double>(random()) / 2147483647.0 - 1.0; };

    const flashschnet::model model(path);
    flashschnet::potential potential(model);
    const auto kinds = model.types();
    for (int i = 0; i < atoms; i++) {
        const std::array<int, 3> at{i / (side * side), i / side % side, i % side};
        const auto &kind = kinds[static_cast<std::size_t>(at[0] + at[1] + at[2]) % 2];
        types[i] = kind.index;
        m[i] = kind.mass;
        for (int c = 0; c < 3; c++) {
            r[i][c] = spacing * at[c];
            v[i][c] = std::sqrt(3.0 * kT / m[i]) * uniform();
        }
    }
    double energy = 0.0;
    flashschnet::structures crystal;
    crystal.positions = r;
    crystal.types = types;
    crystal.cells = cell;
    flashschnet::results results;
    results.energies = {&energy, 1};
    results.forces = forces;

    potential.compute(crystal, results);
    std::printf("  step       potential         kinetic           total (eV)\n");
    for (int step = 0; step <= steps; step++) {
        double kinetic = 0.0;
        for (int i = 0; i < atoms; i++)
            for (int c = 0; c < 3; c++)
                kinetic += 0.5 * m[i] * v[i][c] * v[i][c];
        if (step % 10 == 0)
            std::printf("%6d %15.6f %15.6f %15.6f\n", step, energy, kinetic, energy + kinetic);
        for (int i = 0; i < atoms; i++)
            for (int c = 0; c < 3; c++) {
                v[i][c] += 0.5 * dt * forces[i][c] / m[i];
                r[i][c] += dt * v[i][c];
            }
        potential.compute(crystal, results);
        for (int i = 0; i < atoms; i++)
            for (int c = 0; c < 3; c++)
                v[i][c] += 0.5 * dt * forces[i][c] / m[i];
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        run(argc > 1 ? argv[1] : "examples/nacl/nacl.safetensors", argc > 2 ? std::atoi(argv[2]) : 100);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
