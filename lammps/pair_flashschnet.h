/* -*- c++ -*- ----------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License, version 2; see LICENSE.
------------------------------------------------------------------------- */

#ifdef PAIR_CLASS
// clang-format off
PairStyle(flashschnet,PairFlashSchNet);
// clang-format on
#else

#ifndef LMP_PAIR_FLASHSCHNET_H
#define LMP_PAIR_FLASHSCHNET_H

#include "pair.h"

#include "flashschnet_exchange.h"
#include "flashschnet_handles.h"
#include "flashschnet_units.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

class PairFlashSchNet : public Pair {
 public:
  PairFlashSchNet(class LAMMPS *);
  ~PairFlashSchNet() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void modify_params(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void write_restart(FILE *) override;
  void read_restart(FILE *) override;
  void write_restart_settings(FILE *) override;
  void read_restart_settings(FILE *) override;
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  double memory_usage() override;
  void *extract(const char *, int &) override;

 private:
  // What `compute pair` shows: of this process, in the last call.
  enum { SENT_BYTES, REMOTE, SECONDS, CORE_SECONDS, EXCHANGE_SECONDS, EXTRAS };

  // What the input says.
  std::vector<std::string> options;     // keywords and values of pair_style
  std::vector<std::string> arguments;   // model and types of pair_coeff
  bool model_units;                     // numbers of LAMMPS are taken as the model's

  // The model, and how LAMMPS' numbers become its.
  FlashSchNet::Model model;
  FlashSchNet::Potential potential;
  fsn_model_info info;
  double length_factor, energy_factor;    // one unit of LAMMPS in the model's; of the model in LAMMPS'
  double cutoff;                          // in LAMMPS' unit of length
  std::vector<int> type_of;               // of each atom type: the model's integer
  std::vector<char> mapped;               // of each atom type: whether it is the model's at all
  bool announced;

  // The graph: atoms of the model's types and the ghosts near them. LAMMPS counts all atoms, the core only these: owned ones,
  // then one ghost for each atom of another process, then other ghosts of these and of owned atoms.
  bigint list_call;    // which build of the neighbor lists the core has; -1: none
  int owned, remote, atoms;
  std::vector<int> local_of;        // of each atom of the core: LAMMPS' index
  std::vector<int> core_of;         // of each atom of LAMMPS: the core's index, or -1
  std::vector<int32_t> types;       // the model's integers
  std::vector<double> positions;    // in the model's unit
  std::vector<double> forces, atom_energies, atom_virials;

  // Whose the ghosts are, by LAMMPS' index, and how rows of numbers come from there.
  std::vector<FlashSchNet::Remote> origins;
  FlashSchNet::Exchange exchange;

  void allocate();
  void forget();
  void all_or_error(const std::string &);
  std::string load(const std::string &);
  void map_types(int, char **);
  void check_special();
  void announce();
  void take_list();
  std::vector<int32_t> number_ghosts(const std::vector<char> &);
  void take_positions();
  void give_results(const double *);
  std::string with_ids(const std::string &) const;
  static int32_t forward(void *, void *, size_t, size_t);
};

}    // namespace LAMMPS_NS

#endif
#endif
