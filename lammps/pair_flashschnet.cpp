/* ----------------------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License, version 2; see LICENSE.
------------------------------------------------------------------------- */

// SchNet over LAMMPS' domains. The core computes; this file tells it which atoms there are and who their neighbours
// are, moves rows of features between processes when the core asks for it, and hands energies, forces and virials on.

#include "pair_flashschnet.h"

#include "flashschnet_threads.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "universe.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace LAMMPS_NS;
using FlashSchNet::sized;

static const char *const SYNTAX =
    "pair_style flashschnet [device auto|cpu|gpu] [precision double|single|half] [filters auto|exact|table] "
    "[threads N] [units model]";

/* ---------------------------------------------------------------------- */

PairFlashSchNet::PairFlashSchNet(LAMMPS *lmp) :
    Pair(lmp), model_units(false), info(sized<fsn_model_info>()), length_factor(1.0), energy_factor(1.0), cutoff(0.0),
    announced(false), list_call(-1), owned(0), remote(0), atoms(0)
{
  single_enable = 0;
  restartinfo = 1;
  one_coeff = 1;
  manybody_flag = 1;
  // With ghosts folded onto their owners, forces do not sit where the positions are that r·f would need.
  no_virial_fdotr_compute = 1;
  // The core's shares of the virial are halves of each pair's, which is not the many-body centroid form.
  centroidstressflag = CENTROID_NOTAVAIL;
  // Whose an atom is.
  comm_forward = 1;
  nextra = EXTRAS;
  pvector = new double[EXTRAS]();
}

PairFlashSchNet::~PairFlashSchNet()
{
  forget();
  delete[] pvector;
}

/** Back to before pair_coeff. */
void PairFlashSchNet::forget()
{
  potential.reset();
  model.reset();
  arguments.clear();
  list_call = -1;
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
    allocated = 0;
  }
}

void PairFlashSchNet::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      setflag[i][j] = 0;
      cutsq[i][j] = 0.0;
    }
  allocated = 1;
}

/* ----------------------------------------------------------------------
   the input
------------------------------------------------------------------------- */

void PairFlashSchNet::settings(int narg, char **arg)
{
  forget();
  if (narg % 2) error->all(FLERR, "pair_style flashschnet: " + std::string(arg[narg - 1]) + " has no value: " + SYNTAX);
  options.assign(arg, arg + narg);
  model_units = false;
  // Tried here so that a wrong word is met at the line it stands in.
  fsn_options tried = sized<fsn_options>();
  for (int i = 0; i < narg; i += 2) {
    const std::string key = arg[i], value = arg[i + 1];
    if (key == "units") {
      if (value != "model")
        error->all(FLERR, "pair_style flashschnet: units is \"" + value + "\", can only be model");
      model_units = true;
    } else if (key == "skin") {
      error->all(FLERR, "pair_style flashschnet: the skin is LAMMPS' own, set by the neighbor command");
    } else if (key == "priors") {
      error->all(FLERR, "pair_style flashschnet: priors are LAMMPS' own styles here, which flashschnet export-lammps writes");
    } else if (fsn_options_set(&tried, arg[i], arg[i + 1]) != FSN_SUCCESS) {
      error->all(FLERR, "pair_style flashschnet: " + std::string(fsn_last_error()) + ": " + SYNTAX);
    }
  }
}

void PairFlashSchNet::coeff(int narg, char **arg)
{
  const std::string here = "pair_coeff of pair_style flashschnet: ";
  if (narg < 3 || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR, here + "must be pair_coeff * * model.safetensors, then a type of the model for each atom type");
  if (narg != 3 + atom->ntypes)
    error->all(FLERR, here + std::to_string(narg - 3) + " types of the model for " + std::to_string(atom->ntypes) +
                   " atom types");
  forget();
  all_or_error(load(arg[2]));

  const double angstrom = info.length_in_angstrom, ev = info.energy_in_ev;
  FlashSchNet::Units units;
  if (model_units) {
    length_factor = energy_factor = 1.0;
  } else if (FlashSchNet::find_units(update->unit_style, units)) {
    length_factor = units.length_in_angstrom == angstrom ? 1.0 : units.length_in_angstrom / angstrom;
    energy_factor = units.energy_in_ev == ev ? 1.0 : ev / units.energy_in_ev;
  } else {
    error->all(FLERR, "pair_style flashschnet: units " + std::string(update->unit_style) +
                   " have no length and energy of their own; if lengths are in " + info.length_unit +
                   " and energies in " + info.energy_unit + ", as the model's, say pair_style flashschnet units model");
  }
  cutoff = info.cutoff / length_factor;

  allocate();
  map_types(narg - 3, arg + 3);

  fsn_options chosen = sized<fsn_options>();
  chosen.priors = FSN_PRIORS_OFF;
  for (size_t i = 0; i < options.size(); i += 2)
    if (options[i] != "units") fsn_options_set(&chosen, options[i].c_str(), options[i + 1].c_str());
  const char *environment = getenv("OMP_NUM_THREADS");
  if (chosen.threads == 0 && (!environment || !*environment))
    chosen.threads = FlashSchNet::share_of_cores(world, universe->nworlds);
  fsn_potential *made = nullptr;
  const bool worked = fsn_potential_new(model.get(), &chosen, &made) == FSN_SUCCESS;
  potential.reset(made);
  all_or_error(worked ? "" : fsn_last_error());

  arguments.assign(arg + 2, arg + narg);
  announced = false;
}

/** Stops all processes if a text is not empty on one of them; all of them call it. */
void PairFlashSchNet::all_or_error(const std::string &text)
{
  // LAMMPS' stand-in for MPI takes no pointers to constants.
  int mine = text.empty() ? comm->nprocs : comm->me, first;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  int length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  std::string first_text = text;
  first_text.resize(length);
  MPI_Bcast(&first_text[0], length, MPI_CHAR, first, world);
  error->all(FLERR, "pair_style flashschnet: " + first_text);
}

/** Reads the model, once for all processes; what is wrong with it. */
std::string PairFlashSchNet::load(const std::string &name)
{
  std::string bytes, path, text;
  if (comm->me == 0) {
    // Here, beside the input, or in LAMMPS_POTENTIALS.
    path = utils::get_potential_file_path(name);
    if (path.empty()) path = name;
    std::ifstream file(path.c_str(), std::ios::binary);
    std::ostringstream all;
    if (file) all << file.rdbuf();
    if (file && all) {
      bytes = all.str();
    } else {
      // The core says why it cannot be read.
      fsn_model *read = nullptr;
      if (fsn_model_load(path.c_str(), &read) != FSN_SUCCESS) text = fsn_last_error();
      fsn_model_free(read);
      if (text.empty()) text = "cannot read " + path;
    }
  }
  all_or_error(text);
  bigint length[2] = {static_cast<bigint>(path.size()), static_cast<bigint>(bytes.size())};
  MPI_Bcast(length, 2, MPI_LMP_BIGINT, 0, world);
  if (length[1] > MAXSMALLINT) return path + " is larger than 2 GB";
  path.resize(length[0]);
  bytes.resize(length[1]);
  MPI_Bcast(&path[0], static_cast<int>(length[0]), MPI_CHAR, 0, world);
  MPI_Bcast(&bytes[0], static_cast<int>(length[1]), MPI_CHAR, 0, world);
  fsn_model *loaded = nullptr;
  info = sized<fsn_model_info>();
  if (fsn_model_load_buffer(path.c_str(), reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), &loaded) !=
      FSN_SUCCESS)
    return fsn_last_error();
  model.reset(loaded);
  return fsn_model_get_info(loaded, &info) == FSN_SUCCESS ? "" : fsn_last_error();
}

/** Which type of the model each atom type is, from element symbols, bead-type names, integers or NULL. */
void PairFlashSchNet::map_types(int count, char **names)
{
  std::vector<fsn_type> known(info.types, sized<fsn_type>());
  std::string list;
  for (size_t i = 0; i < known.size(); i++) {
    fsn_model_get_type(model.get(), i, &known[i]);
    list += (i ? ", " : "") + std::string(known[i].name) + " (" + std::to_string(known[i].index) + ")";
  }
  type_of.assign(count + 1, 0);
  mapped.assign(count + 1, 0);
  bool any = false;
  for (int i = 1; i <= count; i++) {
    const std::string name = names[i - 1];
    if (name == "NULL") continue;
    char *end;
    const long number = strtol(name.c_str(), &end, 10);
    const bool is_number = end != name.c_str() && *end == '\0';
    const fsn_type *found = nullptr;
    for (const fsn_type &kind : known)
      if (name == kind.name || (is_number && number == kind.index)) found = &kind;
    if (!found)
      error->all(FLERR, "pair_coeff of pair_style flashschnet: atom type " + std::to_string(i) + " is \"" + name +
                     "\", which the model does not know; it has " + list);
    type_of[i] = found->index;
    mapped[i] = 1;
    any = true;
  }
  if (!any) error->all(FLERR, "pair_coeff of pair_style flashschnet: every atom type is NULL");
  for (int i = 1; i <= count; i++)
    for (int j = i; j <= count; j++) setflag[i][j] = mapped[i] && mapped[j];
}

void PairFlashSchNet::modify_params(int narg, char **arg)
{
  Pair::modify_params(narg, arg);
  if (offset_flag || tail_flag)
    error->all(FLERR, "pair_style flashschnet: pair_modify shift and tail have no meaning for a network");
}

/* ----------------------------------------------------------------------
   before a run
------------------------------------------------------------------------- */

void PairFlashSchNet::init_style()
{
  if (!potential) error->all(FLERR, "pair_style flashschnet: there is no pair_coeff");
  if (neighbor->includegroup)
    error->all(FLERR, "pair_style flashschnet: neigh_modify include would leave atoms out of the graph");
  neighbor->add_request(this, NeighConst::REQ_FULL);
  list_call = -1;

  if (!announced) announce();
  announced = true;
}

double PairFlashSchNet::init_one(int i, int j)
{
  if (!setflag[i][j]) error->all(FLERR, "All pair coeffs are not set");
  return cutoff;
}

/** What runs, to screen and log. */
void PairFlashSchNet::announce()
{
  fsn_potential_info how = sized<fsn_potential_info>();
  if (fsn_potential_get_info(potential.get(), &how) != FSN_SUCCESS) error->one(FLERR, fsn_last_error());
  int threads = static_cast<int>(how.threads), all_threads;
  MPI_Allreduce(&threads, &all_threads, 1, MPI_INT, MPI_SUM, world);
  if (comm->me != 0) return;
  std::ostringstream text;
  text << "FlashSchNet " << fsn_version() << ": " << arguments[0] << "\n  network: " << info.blocks << " blocks, "
       << info.features << " features, " << info.filters << " filters, " << info.parameters << " parameters\n  types:";
  for (size_t i = 1; i < arguments.size(); i++) text << " " << i << " = " << arguments[i];
  text << "\n  engine: " << how.device << ", " << how.precision << " precision, ";
  if (how.table_intervals > 0)
    text << "tables of filters, " << how.table_intervals << " intervals, error at most " << how.table_bound;
  else
    text << "exact filters";
  std::istringstream notes(how.notes ? how.notes : "");
  for (std::string note; std::getline(notes, note);) text << "\n  " << note;
  text << "\n  threads: " << all_threads << " of " << comm->nprocs << (comm->nprocs > 1 ? " processes" : " process");
  text << "\n  units: 1 of length is " << length_factor << " " << info.length_unit << ", 1 " << info.energy_unit << " is "
       << energy_factor << " of energy\n  ghost cutoff: " << cutoff << " and the skin, " << neighbor->skin << "\n";
  if (info.priors > 0)
    text << "  the model's " << info.priors << " priors are not part of this pair style: flashschnet export-lammps writes "
         << "LAMMPS' own styles for them\n";
  utils::logmesg(lmp, text.str());
}

/* ----------------------------------------------------------------------
   restart
------------------------------------------------------------------------- */

static void write_strings(FILE *file, const std::vector<std::string> &strings)
{
  const int count = static_cast<int>(strings.size());
  fwrite(&count, sizeof count, 1, file);
  for (const std::string &string : strings) {
    const int length = static_cast<int>(string.size());
    fwrite(&length, sizeof length, 1, file);
    fwrite(string.data(), 1, length, file);
  }
}

static std::vector<std::string> read_strings(FILE *file, Error *error, MPI_Comm world, int me)
{
  int count = 0;
  if (me == 0) utils::sfread(FLERR, &count, sizeof count, 1, file, nullptr, error);
  MPI_Bcast(&count, 1, MPI_INT, 0, world);
  std::vector<std::string> strings(count);
  for (std::string &string : strings) {
    int length = 0;
    if (me == 0) utils::sfread(FLERR, &length, sizeof length, 1, file, nullptr, error);
    MPI_Bcast(&length, 1, MPI_INT, 0, world);
    string.resize(length);
    if (me == 0) utils::sfread(FLERR, &string[0], 1, length, file, nullptr, error);
    MPI_Bcast(&string[0], length, MPI_CHAR, 0, world);
  }
  return strings;
}

static std::vector<char *> pointers(std::vector<std::string> &strings)
{
  std::vector<char *> found;
  for (std::string &string : strings) found.push_back(&string[0]);
  return found;
}

void PairFlashSchNet::write_restart(FILE *file)
{
  write_restart_settings(file);
  write_strings(file, arguments);
}

void PairFlashSchNet::read_restart(FILE *file)
{
  read_restart_settings(file);
  std::vector<std::string> given = read_strings(file, error, world, comm->me);
  if (given.empty()) return;
  given.insert(given.begin(), 2, "*");
  coeff(static_cast<int>(given.size()), pointers(given).data());
}

void PairFlashSchNet::write_restart_settings(FILE *file)
{
  write_strings(file, options);
}

void PairFlashSchNet::read_restart_settings(FILE *file)
{
  std::vector<std::string> given = read_strings(file, error, world, comm->me);
  settings(static_cast<int>(given.size()), pointers(given).data());
}

/* ----------------------------------------------------------------------
   a step
------------------------------------------------------------------------- */

void PairFlashSchNet::compute(int eflag, int vflag)
{
  const double start = MPI_Wtime();
  ev_init(eflag, vflag);
  std::fill(pvector, pvector + EXTRAS, 0.0);
  if (list_call != neighbor->ncalls || neighbor->ago == 0) take_list();
  take_positions();

  double energy = 0.0, total_virial[9] = {0.0};
  fsn_domain domain = sized<fsn_domain>();
  domain.atoms = atoms;
  domain.positions = positions.data();
  domain.types = types.data();
  domain.context = this;
  // With one process every ghost is an image of an atom that is here.
  if (comm->nprocs > 1) domain.forward = forward;
  fsn_results results = sized<fsn_results>();
  results.energies = &energy;
  results.forces = forces.data();
  if (eflag_atom) {
    atom_energies.resize(owned + 1);
    results.atom_energies = atom_energies.data();
  }
  if (vflag_global) results.virials = total_virial;
  if (vflag_atom) {
    atom_virials.resize(9 * static_cast<size_t>(atoms) + 1);
    results.atom_virials = atom_virials.data();
  }

  const double before = MPI_Wtime();
  const fsn_status status = fsn_potential_compute_domain(potential.get(), &domain, &results);
  pvector[CORE_SECONDS] = MPI_Wtime() - before - pvector[EXCHANGE_SECONDS];
  if (status != FSN_SUCCESS) error->one(FLERR, "pair_style flashschnet: " + with_ids(fsn_last_error()));

  eng_vdwl = energy * energy_factor;
  give_results(total_virial);
  pvector[REMOTE] = remote;
  pvector[SECONDS] = MPI_Wtime() - start;
}

/** Hands LAMMPS' neighbor list to the core. */
void PairFlashSchNet::take_list()
{
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost;
  core_of.assign(nall, -1);
  local_of.clear();
  for (int i = 0; i < nlocal; i++) {
    if (!mapped[atom->type[i]]) continue;
    core_of[i] = static_cast<int>(local_of.size());
    local_of.push_back(i);
  }
  owned = static_cast<int>(local_of.size());
  if (list_call < 0) check_special();

  // Rows first come in LAMMPS' order of atoms, so that they are counted before they are filled; with them what they hear, since
  // ghost shells may be wider than the network needs, for other styles.
  const int *const type = atom->type;
  const double *const special = force->special_lj;
  const auto in_graph = [&](int j) {
    const double factor = special[sbmask(j)];
    if (factor != 0.0 && factor != 1.0)
      error->one(FLERR, "pair_style flashschnet: a network's pair is there or not: special_bonds must be 0 or 1, not " +
                     std::to_string(factor));
    return factor == 1.0 && mapped[type[j & NEIGHMASK]];
  };
  std::vector<size_t> offsets(owned + 1, 0);
  std::vector<char> heard(nall, 0);
  for (int ii = 0; ii < list->inum; ii++) {
    const int i = list->ilist[ii];
    if (core_of[i] < 0) continue;
    size_t count = 0;
    for (int jj = 0; jj < list->numneigh[i]; jj++) {
      const int j = list->firstneigh[i][jj];
      if (!in_graph(j)) continue;
      heard[j & NEIGHMASK] = 1;
      count++;
    }
    offsets[core_of[i] + 1] = count;
  }
  const std::vector<int32_t> owners = number_ghosts(heard);
  types.clear();
  for (int i : local_of) types.push_back(type_of[type[i]]);
  for (int i = 0; i < owned; i++) offsets[i + 1] += offsets[i];
  std::vector<int32_t> neighbors(offsets[owned] + 1);
  for (int ii = 0; ii < list->inum; ii++) {
    const int i = list->ilist[ii];
    if (core_of[i] < 0) continue;
    int32_t *next = &neighbors[offsets[core_of[i]]];
    for (int jj = 0; jj < list->numneigh[i]; jj++) {
      const int j = list->firstneigh[i][jj];
      if (in_graph(j)) *next++ = core_of[j & NEIGHMASK];
    }
  }

  fsn_neighbors given = sized<fsn_neighbors>();
  given.owned = owned;
  given.atoms = atoms;
  given.offsets = offsets.data();
  given.neighbors = neighbors.data();
  given.owners = owners.data();
  if (fsn_potential_set_neighbors(potential.get(), &given) != FSN_SUCCESS)
    error->one(FLERR, "pair_style flashschnet: " + with_ids(fsn_last_error()));
  positions.resize(3 * static_cast<size_t>(atoms) + 1);
  forces.resize(3 * static_cast<size_t>(atoms) + 1);
  list_call = neighbor->ncalls;
}

/** Numbers the ghosts that are in the graph, those `heard`, and plans the exchange. Returns of each atom of the core which one
    it is a copy of. LAMMPS' own communication tells every ghost whose it is, which needs no atom map. */
std::vector<int32_t> PairFlashSchNet::number_ghosts(const std::vector<char> &heard)
{
  using FlashSchNet::Remote;
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost;
  origins.resize(nall);
  for (int i = 0; i < nlocal; i++) origins[i] = {comm->me, core_of[i]};
  comm->forward_comm(this);

  std::vector<int> images, others;
  for (int j = nlocal; j < nall; j++)
    if (heard[j]) (origins[j].process == comm->me ? images : others).push_back(j);
  std::stable_sort(others.begin(), others.end(), [this](int a, int b) { return origins[a] < origins[b]; });

  // The first of each atom of another process, in their order there.
  std::vector<Remote> wanted;
  std::vector<int> copies;
  for (int j : others) {
    if (!wanted.empty() && wanted.back() == origins[j]) {
      copies.push_back(j);
      continue;
    }
    wanted.push_back(origins[j]);
    core_of[j] = static_cast<int>(local_of.size());
    local_of.push_back(j);
  }
  remote = static_cast<int>(wanted.size());

  std::vector<int32_t> owners;
  for (int c = 0; c < owned + remote; c++) owners.push_back(c);
  for (int j : copies) {
    core_of[j] = static_cast<int>(local_of.size());
    local_of.push_back(j);
    const auto found = std::lower_bound(wanted.begin(), wanted.end(), origins[j]);
    owners.push_back(owned + static_cast<int>(found - wanted.begin()));
  }
  for (int j : images) {
    core_of[j] = static_cast<int>(local_of.size());
    local_of.push_back(j);
    owners.push_back(origins[j].index);
  }
  atoms = static_cast<int>(local_of.size());
  if (comm->nprocs > 1) exchange.plan(world, wanted);
  return owners;
}

/** Whether special_bonds leaves in the graph the pairs that the model has there, and no others. */
void PairFlashSchNet::check_special()
{
  int here[4] = {0, 0, 0, 0};    // whether there are 1-2, 1-3, 1-4 neighbors in the graph
  if (atom->molecular != Atom::ATOMIC && atom->special) {
    for (int c = 0; c < owned; c++) {
      const int i = local_of[c];
      for (int k = 0, level = 1; k < atom->nspecial[i][2]; k++) {
        while (k >= atom->nspecial[i][level - 1]) level++;
        const int j = atom->map(atom->special[i][k]);
        if (j >= 0 && mapped[atom->type[j]]) here[level] = 1;
      }
    }
  }
  int there[4];
  MPI_Allreduce(here, there, 4, MPI_INT, MPI_MAX, world);
  const int levels = static_cast<int>(info.excluded_bonds);
  std::string wanted;
  bool right = true;
  for (int level = 1; level <= 3; level++) {
    const double factor = level <= levels ? 0.0 : 1.0;
    wanted += factor == 0.0 ? " 0" : " 1";
    if (there[level] && force->special_lj[level] != factor) right = false;
  }
  if (!right)
    error->all(FLERR, "pair_style flashschnet: the model " +
                   (levels ? "leaves out pairs within " + std::to_string(levels) + " bonds and no others"
                           : std::string("has bonded pairs in its graph")) +
                   ", which is special_bonds lj" + wanted + " (in a hybrid style: pair_modify pair flashschnet special lj" +
                   wanted + ")");
  if (levels > 0 && !neighbor->exclude && (levels > 3 || !there[1]))
    error->all(FLERR, "pair_style flashschnet: the model leaves out pairs within " + std::to_string(levels) +
                   " bonds, but " +
                   (levels > 3 ? "special_bonds reaches 3 bonds only" : "no bonds between its atoms are defined") +
                   " and there is no neigh_modify exclude");
}

void PairFlashSchNet::take_positions()
{
  double **x = atom->x;
  double *next = positions.data();
  for (int i : local_of) {
    next[0] = x[i][0] * length_factor;
    next[1] = x[i][1] * length_factor;
    next[2] = x[i][2] * length_factor;
    next += 3;
  }
}

/** Adds what the core computed to LAMMPS' sums. */
void PairFlashSchNet::give_results(const double *total)
{
  // Ghosts have nothing: all is on their owners, with newton on and off.
  const double force_factor = energy_factor * length_factor;
  double **f = atom->f;
  for (int c = 0; c < owned; c++)
    for (int k = 0; k < 3; k++) f[local_of[c]][k] += forces[3 * c + k] * force_factor;
  if (eflag_atom)
    for (int c = 0; c < owned; c++) eatom[local_of[c]] += atom_energies[c] * energy_factor;
  const auto symmetric = [this](const double *from, double *to) {
    const int place[6][2] = {{0, 0}, {4, 4}, {8, 8}, {1, 3}, {2, 6}, {5, 7}};
    for (int k = 0; k < 6; k++) to[k] += 0.5 * (from[place[k][0]] + from[place[k][1]]) * energy_factor;
  };
  if (vflag_global) symmetric(total, virial);
  if (vflag_atom)
    for (int c = 0; c < owned; c++) symmetric(&atom_virials[9 * c], vatom[local_of[c]]);
}

/** A core's text with the IDs of the atoms it counts. */
std::string PairFlashSchNet::with_ids(const std::string &text) const
{
  std::string ids;
  std::istringstream words(text);
  bool after_atom = false;
  for (std::string word; words >> word;) {
    const bool number = isdigit(static_cast<unsigned char>(word[0]));
    if (number && after_atom) {
      const long c = atol(word.c_str());
      if (c < atoms) {
        ids += (ids.empty() ? "" : ", ") + std::to_string(c) + " has ID " + std::to_string(atom->tag[local_of[c]]);
      }
    } else if (word != "and") {
      after_atom = word == "atom" || word == "atoms";
    }
  }
  return ids.empty() ? text : text + " (" + ids + ")";
}

/* ----------------------------------------------------------------------
   message passing
------------------------------------------------------------------------- */

int32_t PairFlashSchNet::forward(void *self, void *data, size_t width, size_t element_size)
{
  PairFlashSchNet &pair = *static_cast<PairFlashSchNet *>(self);
  const double start = MPI_Wtime();
  const size_t bytes = width * element_size;
  char *const rows = static_cast<char *>(data);
  pair.pvector[SENT_BYTES] += pair.exchange.forward(rows, rows + pair.owned * bytes, bytes);
  pair.pvector[EXCHANGE_SECONDS] += MPI_Wtime() - start;
  return 0;
}

// What LAMMPS moves itself: whose each ghost is, two integers in the place of one double.
static_assert(sizeof(FlashSchNet::Remote) == sizeof(double), "two integers fill a double");

int PairFlashSchNet::pack_forward_comm(int n, int *send, double *buffer, int, int *)
{
  for (int k = 0; k < n; k++) memcpy(&buffer[k], &origins[send[k]], sizeof(double));
  return n;
}

void PairFlashSchNet::unpack_forward_comm(int n, int first, double *buffer)
{
  memcpy(&origins[first], buffer, n * sizeof(double));
}

/* ---------------------------------------------------------------------- */

double PairFlashSchNet::memory_usage()
{
  return Pair::memory_usage() + sizeof(int) * (local_of.capacity() + core_of.capacity() + types.capacity()) +
      sizeof(double) *
      (positions.capacity() + forces.capacity() + atom_energies.capacity() + atom_virials.capacity() +
       origins.capacity()) +
      exchange.memory();
}

void *PairFlashSchNet::extract(const char *name, int &dimension)
{
  dimension = 0;
  return strcmp(name, "cutoff") == 0 && potential ? &cutoff : nullptr;
}
