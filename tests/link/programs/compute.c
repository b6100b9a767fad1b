// What Python's tests compare between languages: compute HOW MODEL STRUCTURE [KEY=VALUE ...]
//
// HOW is one of
//   structures  the library finds the neighbours
//   domain      the program does, with ghosts for images, and exchanges rows between them and their owners
//   broken      the same, but the exchange fails
//   unset       a domain without a list
//   unloaded    a potential of no model
//   unmade      a calculation without a potential
// Prints energy, forces and virial, a number a line; or the status and the text of what is refused.
#include <flashschnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

typedef struct {
    size_t owned, atoms;
    int32_t owners[MOST];
    int broken;
} ghosts;

static double positions[3 * MOST], forces[3 * MOST], cell[9], energy, virial[9];
static int32_t types[MOST], neighbors[100 * MOST];
static uint8_t periodic[3];
static ghosts images;

static void check(fsn_status status) {
    if (status != FSN_SUCCESS) {
        printf("%d %s\n", (int)status, fsn_last_error());
        exit(3);
    }
}

static void copy(char *to, const char *from, size_t width, size_t size) { memcpy(to, from, width * size); }

static void add(char *to, const char *from, size_t width, size_t size) {
    for (size_t k = 0; k < width; k++)
        if (size == sizeof(double))
            ((double *)(void *)to)[k] += ((const double *)(const void *)from)[k];
        else
            ((float *)(void *)to)[k] += ((const float *)(const void *)from)[k];
}

static int32_t forward(void *context, void *rows, size_t width, size_t size) {
    const ghosts *g = context;
    for (size_t k = g->owned; k < g->atoms; k++)
        copy((char *)rows + k * width * size, (char *)rows + (size_t)g->owners[k] * width * size, width, size);
    return g->broken;
}

static int32_t reverse(void *context, void *rows, size_t width, size_t size) {
    const ghosts *g = context;
    for (size_t k = g->owned; k < g->atoms; k++)
        add((char *)rows + (size_t)g->owners[k] * width * size, (char *)rows + k * width * size, width, size);
    return 0;
}

// Every image that is a neighbour of an atom becomes an atom of its own.
static void set_neighbors(fsn_potential *potential, const fsn_structures *s, double cutoff) {
    static int32_t shifts[3 * MOST];
    fsn_neighbor_list *list = NULL;
    fsn_pairs pairs = {.size = sizeof pairs};
    fsn_neighbors given = {.size = sizeof given, .owned = s->atoms, .neighbors = neighbors};
    check(fsn_neighbor_list_new(s, cutoff, &list));
    check(fsn_neighbor_list_get(list, &pairs));
    images.owned = images.atoms = s->atoms;
    for (size_t i = 0; i < s->atoms; i++)
        images.owners[i] = (int32_t)i;
    for (size_t p = 0; p < pairs.pairs; p++) {
        const int32_t *shift = &pairs.shifts[3 * p], owner = (int32_t)pairs.neighbors[p];
        size_t k = 0;
        while (k < images.atoms && (images.owners[k] != owner || memcmp(&shifts[3 * k], shift, 3 * sizeof *shift) != 0))
            k++;
        neighbors[p] = (int32_t)k;
        if (k < images.atoms)
            continue;
        images.atoms++;
        images.owners[k] = owner;
        types[k] = types[owner];
        memcpy(&shifts[3 * k], shift, 3 * sizeof *shift);
        for (int c = 0; c < 3; c++)
            positions[3 * k + (size_t)c] = positions[3 * owner + c] + shift[0] * cell[c] + shift[1] * cell[3 + c] +
                                           shift[2] * cell[6 + c];
    }
    given.atoms = images.atoms;
    given.offsets = pairs.offsets;
    check(fsn_potential_set_neighbors(potential, &given));
    fsn_neighbor_list_free(list);
}

int main(int argc, char **argv) {
    const char *how = argc > 3 ? argv[1] : "";
    FILE *file = argc > 3 ? fopen(argv[3], "r") : NULL;
    unsigned atoms, flags[3];
    fsn_model *model = NULL;
    fsn_model_info info = {.size = sizeof info};
    fsn_potential *potential = NULL;
    fsn_options options = {.size = sizeof options};
    fsn_structures s = {.size = sizeof s, .structures = 1, .positions = positions, .types = types, .periodic = periodic};
    fsn_results results = {.size = sizeof results, .energies = &energy, .forces = forces, .virials = virial};
    fsn_domain domain = {
        .size = sizeof domain, .positions = positions, .types = types, .forward = forward, .reverse = reverse};

    if (file == NULL || fscanf(file, "%u %u %u %u", &atoms, &flags[0], &flags[1], &flags[2]) != 4 || atoms > MOST)
        return 2;
    for (int k = 0; k < 9; k++) {
        if (fscanf(file, "%lf", &cell[k]) != 1)
            return 2;
        periodic[k / 3] = flags[k / 3] != 0;
    }
    for (unsigned i = 0; i < atoms; i++)
        if (fscanf(file, "%d %lf %lf %lf", &types[i], &positions[3 * i], &positions[3 * i + 1],
                   &positions[3 * i + 2]) != 4)
            return 2;
    fclose(file);
    s.atoms = atoms;
    s.cells = flags[0] || flags[1] || flags[2] ? cell : NULL;

    for (int k = 4; k < argc; k++) {
        char *value = strchr(argv[k], '=');
        *value++ = '\0';
        check(fsn_options_set(&options, argv[k], value));
    }
    if (strcmp(how, "unloaded") != 0) {
        check(fsn_model_load(argv[2], &model));
        check(fsn_model_get_info(model, &info));
    }
    if (strcmp(how, "unmade") != 0)
        check(fsn_potential_new(model, &options, &potential));
    fsn_model_free(model);
    if (strcmp(how, "domain") == 0 || strcmp(how, "broken") == 0 || strcmp(how, "unset") == 0) {
        images.broken = strcmp(how, "broken") == 0;
        if (strcmp(how, "unset") != 0)
            set_neighbors(potential, &s, info.cutoff);
        domain.atoms = images.atoms;
        domain.context = &images;
        check(fsn_potential_compute_domain(potential, &domain, &results));
        reverse(&images, forces, 3, sizeof *forces);
    } else {
        check(fsn_potential_compute(potential, &s, &results));
    }
    fsn_potential_free(potential);

    printf("%.17g\n", energy);
    for (unsigned k = 0; k < 3 * atoms; k++)
        printf("%.17g\n", forces[k]);
    for (int k = 0; k < 9; k++)
        printf("%.17g\n", virial[k]);
    return 0;
}
