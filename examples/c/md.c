// Molecular dynamics of 216 atoms of NaCl at constant energy, by velocity Verlet: md [MODEL [STEPS]]
// Units are the model's (Å, eV) and atomic mass units; a unit of time is then 10.18 fs.
#include <flashschnet.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 6, ATOMS = SIDE * SIDE * SIDE };

static void check(fsn_status status) {
    if (status != FSN_SUCCESS) {
        fprintf(stderr, "%s\n", fsn_last_error());
        exit(1);
    }
}

// A number between -1 and 1.
static double uniform(void) {
    static uint64_t state = 1;
    state = state * 48271 % 2147483647;
    return 2.0 * (double)state / 2147483647.0 - 1.0;
}

int main(int argc, char **argv) {
    const double spacing = 2.7324, box = SIDE * spacing, dt = 1.0 / 10.180505, kT = 8.617333e-5 * 300.0;
    const double cell[9] = {box, 0.0, 0.0, 0.0, box, 0.0, 0.0, 0.0, box};
    const int steps = argc > 2 ? atoi(argv[2]) : 100;
    static double r[3 * ATOMS], v[3 * ATOMS], m[3 * ATOMS], forces[3 * ATOMS], energy;
    static int32_t types[ATOMS];
    fsn_model *model = NULL;
    fsn_potential *potential = NULL;
    fsn_type kinds[2] = {{.size = sizeof *kinds}, {.size = sizeof *kinds}};
    fsn_structures crystal = {.size = sizeof crystal, .structures = 1, .atoms = ATOMS};
    fsn_results results = {.size = sizeof results, .energies = &energy, .forces = forces};

    check(fsn_model_load(argc > 1 ? argv[1] : "examples/nacl/nacl.safetensors", &model));
    check(fsn_potential_new(model, NULL, &potential));
    for (size_t k = 0; k < 2; k++)
        check(fsn_model_get_type(model, k, &kinds[k]));
    for (int i = 0; i < ATOMS; i++) {
        const int at[3] = {i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE};
        const fsn_type *kind = &kinds[(at[0] + at[1] + at[2]) % 2];
        types[i] = kind->index;
        for (int c = 0; c < 3; c++) {
            r[3 * i + c] = spacing * at[c];
            m[3 * i + c] = kind->mass;
            v[3 * i + c] = sqrt(3.0 * kT / kind->mass) * uniform();
        }
    }
    crystal.positions = r;
    crystal.types = types;
    crystal.cells = cell;

    check(fsn_potential_compute(potential, &crystal, &results));
    printf("  step       potential         kinetic           total (eV)\n");
    for (int step = 0; step <= steps; step++) {
        double kinetic = 0.0;
        for (int k = 0; k < 3 * ATOMS; k++)
            kinetic += 0.5 * m[k] * v[k] * v[k];
        if (step % 10 == 0)
            printf("%6d %15.6f %15.6f %15.6f\n", step, energy, kinetic, energy + kinetic);
        for (int k = 0; k < 3 * ATOMS; k++) {
            v[k] += 0.5 * dt * forces[k] / m[k];
            r[k] += dt * v[k];
        }
        check(fsn_potential_compute(potential, &crystal, &results));
        for (int k = 0; k < 3 * ATOMS; k++)
            v[k] += 0.5 * dt * forces[k] / m[k];
    }
    fsn_potential_free(potential);
    fsn_model_free(model);
    return 0;
}
