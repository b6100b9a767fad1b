// One periodic crystal on several MPI processes, split by hand into slabs along x: mpiexec -n 2 domains [MODEL]
//
// Each process owns the atoms of its slab and has ghosts, one cutoff deep, for those of the others and for periodic
// images. The network has several interaction blocks: at each, features go from owned atoms to their ghosts, and on the way
// back gradients do. That is what fsn_exchange is for; here it moves all rows, where a real program would
// send the borders only, and each atom once (see owners of fsn_neighbors). Process 0 compares with the undivided crystal.
#include <flashschnet.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 6, ATOMS = SIDE * SIDE * SIDE, MOST = 27 * ATOMS, NEIGHBORS = 128 * ATOMS };

// Atoms of one process: owned ones, then ghosts; `whole` says which atom of the crystal each of them is.
static struct {
    int owned, atoms, whole[MOST];
    double r[3 * MOST], forces[3 * MOST];
    int32_t types[MOST], neighbors[NEIGHBORS];
    size_t offsets[ATOMS + 1];
} mine;

static void check(fsn_status status) {
    if (status != FSN_SUCCESS) {
        fprintf(stderr, "%s\n", fsn_last_error());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

// The sum over processes of rows `from` to `to` − 1, by atoms of the crystal; to be freed.
static double *collect(const double *rows, size_t width, int from, int to) {
    double *all = calloc(ATOMS * width, sizeof *all);
    for (int i = from; i < to; i++)
        for (size_t k = 0; k < width; k++)
            all[mine.whole[i] * width + k] += rows[i * width + k];
    MPI_Allreduce(MPI_IN_PLACE, all, (int)(ATOMS * width), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return all;
}

static int32_t forward(void *context, void *data, size_t width, size_t element_size) {
    double *rows = data, *all;
    (void)context;
    if (element_size != sizeof(double))
        return 1;
    all = collect(rows, width, 0, mine.owned);
    for (int i = mine.owned; i < mine.atoms; i++)
        memcpy(&rows[i * width], &all[mine.whole[i] * width], width * sizeof *rows);
    free(all);
    return 0;
}

static double distance2(const double *a, const double *b) {
    const double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

// Takes the atoms of a slab, then every image near one of them, then lists neighbours.
static void divide(const double *r, const int32_t *types, double box, double cutoff, int rank, int ranks) {
    for (int pass = 0; pass < 2; pass++)
        for (int image = 0; image < 27; image++)
            for (int i = 0; i < ATOMS; i++) {
                const int shift[3] = {image / 9 - 1, image / 3 % 3 - 1, image % 3 - 1};
                const double *o = &r[3 * i];
                const double at[3] = {o[0] + box * shift[0], o[1] + box * shift[1], o[2] + box * shift[2]};
                const int is_mine = image == 13 && i / (SIDE * SIDE) * ranks / SIDE == rank;
                int near = 0;
                for (int k = 0; pass == 1 && !is_mine && !near && k < mine.owned; k++)
                    near = distance2(at, &mine.r[3 * k]) < cutoff * cutoff;
                if (pass == 0 ? !is_mine : !near)
                    continue;
                memcpy(&mine.r[3 * mine.atoms], at, sizeof at);
                mine.types[mine.atoms] = types[i];
                mine.whole[mine.atoms++] = i;
                mine.owned += pass == 0;
            }
    for (int i = 0; i < mine.owned; i++) {
        mine.offsets[i + 1] = mine.offsets[i];
        for (int k = 0; k < mine.atoms; k++)
            if (k != i && distance2(&mine.r[3 * i], &mine.r[3 * k]) < cutoff * cutoff)
                mine.neighbors[mine.offsets[i + 1]++] = k;
    }
}

int main(int argc, char **argv) {
    const double spacing = 2.7324, box = SIDE * spacing, cell[9] = {box, 0.0, 0.0, 0.0, box, 0.0, 0.0, 0.0, box};
    static double r[3 * ATOMS], expected[3 * ATOMS], energy, virial[9], whole_energy, whole_virial[9], *forces;
    static int32_t types[ATOMS];
    double off = 0.0;
    int rank, ranks;
    fsn_model *model = NULL;
    fsn_model_info info = {.size = sizeof info};
    fsn_potential *potential = NULL;
    fsn_options options = {.size = sizeof options, .precision = FSN_PRECISION_DOUBLE};
    fsn_neighbors list = {.size = sizeof list, .offsets = mine.offsets, .neighbors = mine.neighbors};
    fsn_domain domain = {
        .size = sizeof domain, .positions = mine.r, .types = mine.types, .forward = forward};
    fsn_structures crystal = {
        .size = sizeof crystal, .structures = 1, .atoms = ATOMS, .positions = r, .types = types, .cells = cell};
    fsn_results results = {.size = sizeof results, .energies = &energy, .forces = mine.forces, .virials = virial};

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    check(fsn_model_load(argc > 1 ? argv[1] : "examples/nacl/nacl.safetensors", &model));
    check(fsn_model_get_info(model, &info));
    check(fsn_potential_new(model, &options, &potential));
    for (int i = 0; i < ATOMS; i++) {
        const int at[3] = {i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE};
        types[i] = (at[0] + at[1] + at[2]) % 2 ? 17 : 11;
        for (int c = 0; c < 3; c++)
            r[3 * i + c] = spacing * at[c] + 0.1 * sin(7.0 * i + c);
    }

    divide(r, types, box, info.cutoff, rank, ranks);
    list.owned = (size_t)mine.owned;
    list.atoms = domain.atoms = (size_t)mine.atoms;
    check(fsn_potential_set_neighbors(potential, &list));
    check(fsn_potential_compute_domain(potential, &domain, &results));
    MPI_Allreduce(MPI_IN_PLACE, &energy, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(MPI_IN_PLACE, virial, 9, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    forces = collect(mine.forces, 3, 0, mine.atoms);
    printf("process %d of %d: %d atoms and %d ghosts\n", rank, ranks, mine.owned, mine.atoms - mine.owned);

    results.energies = &whole_energy;
    results.forces = expected;
    results.virials = whole_virial;
    check(fsn_potential_compute(potential, &crystal, &results));
    for (int k = 0; k < 3 * ATOMS; k++)
        off = fmax(off, fabs(forces[k] - expected[k]));
    for (int k = 0; k < 9; k++)
        off = fmax(off, fabs(virial[k] - whole_virial[k]) / 100.0);
    if (rank == 0)
        printf("energy %.9f, undivided %.9f, forces and virial off by %.1e at most\n", energy, whole_energy, off);
    free(forces);
    fsn_potential_free(potential);
    fsn_model_free(model);
    MPI_Finalize();
    return off > 1e-11 || fabs(energy - whole_energy) > 1e-11 * fabs(energy);
}
