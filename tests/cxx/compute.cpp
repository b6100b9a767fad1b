// The C header in a C++17 program. The argument is the file of `small_network`; prints energy and forces of water.

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "flashschnet.h"

namespace {

void require(fsn_status status) {
    if (status != FSN_SUCCESS)
        throw std::runtime_error(fsn_last_error());
}

using Model = std::unique_ptr<fsn_model, decltype(&fsn_model_free)>;
using Potential = std::unique_ptr<fsn_potential, decltype(&fsn_potential_free)>;

Model load(const char *path) {
    fsn_model *model = nullptr;
    require(fsn_model_load(path, &model));
    return {model, fsn_model_free};
}

Potential prepare(const fsn_model &model) {
    fsn_options options{};
    options.size = sizeof options;
    require(fsn_options_set(&options, "precision", "double"));
    fsn_potential *potential = nullptr;
    require(fsn_potential_new(&model, &options, &potential));
    return {potential, fsn_potential_free};
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    try {
        const Potential potential = prepare(*load(argv[1]));
        const std::array<double, 9> positions{0.0, 0.0, 0.0, 0.96, 0.0, 0.0, -0.24, 0.93, 0.0};
        const std::array<int32_t, 3> types{8, 1, 1};
        double energy = 0.0;
        std::array<double, 9> forces{};
        fsn_structures structures{};
        structures.size = sizeof structures;
        structures.structures = 1;
        structures.atoms = types.size();
        structures.positions = positions.data();
        structures.types = types.data();
        fsn_results results{};
        results.size = sizeof results;
        results.energies = &energy;
        results.forces = forces.data();
        require(fsn_potential_compute(potential.get(), &structures, &results));
        std::printf("%.17g\n", energy);
        for (double force : forces)
            std::printf("%.17g\n", force);
        try {
            load("nowhere.safetensors");
            return 1;
        } catch (const std::runtime_error &) {
            return 0;
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
