// A real computation, as a first program would do it: load, ask, compute alone, in a batch and with one's own list.
// The argument is the file of `small_network`; prints energy and forces of water, for comparison.

#include <math.h>

#include "check.h"

#define ATOMS 3

int main(int argc, char **argv) {
    const double positions[2 * 3 * ATOMS] = {0.0, 0.0, 0.0, 0.96, 0.0, 0.0, -0.24, 0.93, 0.0,
                                             5.0, 0.0, 0.0, 5.96, 0.0, 0.0, 4.76,  0.93, 0.0};
    const int32_t types[2 * ATOMS] = {8, 1, 1, 8, 1, 1};
    const size_t offsets[3] = {0, ATOMS, 2 * ATOMS};
    const size_t rows[ATOMS + 1] = {0, 2, 4, 6};
    const int32_t neighbors[6] = {2, 3, 1, 3, 1, 2};
    double energies[2], atom_energies[2 * ATOMS], forces[2 * 3 * ATOMS], virials[2 * 9], atom_virials[2 * 9 * ATOMS];
    double own_energy, own_forces[3 * ATOMS];
    fsn_structures one = {sizeof one, 1, NULL, ATOMS, positions, types, NULL, NULL, 0, NULL, NULL};
    fsn_structures two = {sizeof two, 2, offsets, 2 * ATOMS, positions, types, NULL, NULL, 0, NULL, NULL};
    fsn_results results = {sizeof results, energies, atom_energies, forces, virials, atom_virials, NULL};
    fsn_results own = {sizeof own, &own_energy, NULL, own_forces, NULL, NULL, NULL};
    fsn_neighbors list = {sizeof list, ATOMS, ATOMS, rows, neighbors, NULL, 1};
    fsn_domain domain = {.size = sizeof domain, .atoms = ATOMS, .positions = positions, .types = types};
    fsn_options options = {.size = sizeof options};
    fsn_model_info info = {.size = sizeof info};
    fsn_type kind = {.size = sizeof kind};
    fsn_potential_info how = {.size = sizeof how};
    fsn_model *model = NULL;
    fsn_potential *potential = NULL;
    fsn_neighbor_list *found = NULL;
    fsn_pairs pairs = {.size = sizeof pairs};
    int i;

    if (argc != 2 || fsn_model_load(argv[1], &model)) {
        fprintf(stderr, "%s\n", argc == 2 ? fsn_last_error() : "usage: compute MODEL");
        return 2;
    }
    require(fsn_abi_version() == FSN_ABI_VERSION, "header and library fit");
    require(strchr(fsn_version(), '.') != NULL, "the library has a version");
    require(fsn_model_get_info(model, &info) == FSN_SUCCESS, "the model has information");
    require(info.cutoff == 3.0 && info.blocks == 2 && info.features == 2 && info.filters == 3, "of this network");
    require(info.types == 2 && strcmp(info.length_unit, "Angstrom") == 0 && info.energy_in_ev == 1.0, "of these units");
    require(fsn_model_get_type(model, 1, &kind) == FSN_SUCCESS, "the model has two types");
    require(kind.index == 8 && kind.atomic_number == 8 && strcmp(kind.name, "O") == 0, "oxygen is the second");
    require(fsn_model_description(model)[0] == '{', "the description is JSON");

    require(fsn_options_set(&options, "precision", "double") == FSN_SUCCESS, "precision is an option");
    require(options.precision == FSN_PRECISION_DOUBLE, "and is set");
    require(fsn_potential_new(model, &options, &potential) == FSN_SUCCESS, "the options are sound");
    fsn_model_free(model);
    require(fsn_potential_compute(potential, &two, &results) == FSN_SUCCESS, "two structures are computed");
    for (i = 0; i < 3 * ATOMS; i++)
        require(fabs(forces[i] - forces[3 * ATOMS + i]) < 1e-12, "both have the same forces");
    require(fabs(energies[0] - energies[1]) < 1e-12, "and energies");
    require(fsn_potential_compute(potential, &one, &own) == FSN_SUCCESS, "one structure is computed");
    require(own_energy == energies[0] && memcmp(own_forces, forces, sizeof own_forces) == 0, "to the same bits");

    require(fsn_potential_set_neighbors(potential, &list) == FSN_SUCCESS, "the list is sound");
    require(fsn_potential_compute_domain(potential, &domain, &own) == FSN_SUCCESS, "a domain is computed");
    require(fabs(own_energy - energies[0]) < 1e-12, "to the same energy");
    require(fsn_potential_get_info(potential, &how) == FSN_SUCCESS, "the potential has information");
    require(strcmp(how.precision, "double") == 0 && how.list_builds == 2, "of what it did");

    require(fsn_neighbor_list_new(&one, 3.0, &found) == FSN_SUCCESS, "neighbours are found");
    require(fsn_neighbor_list_get(found, &pairs) == FSN_SUCCESS && pairs.pairs == 6, "all of them");
    fsn_neighbor_list_free(found);
    fsn_potential_free(potential);

    printf("%.17g\n", energies[0]);
    for (i = 0; i < 3 * ATOMS; i++)
        printf("%.17g\n", forces[i]);
    return failures != 0;
}
