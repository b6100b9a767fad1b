/* -*- c++ -*-
   pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#ifndef FLASHSCHNET_HANDLES_H
#define FLASHSCHNET_HANDLES_H

#include <flashschnet.h>

#include <memory>

namespace FlashSchNet {

struct FreeModel {
  void operator()(fsn_model *model) const { fsn_model_free(model); }
};
struct FreePotential {
  void operator()(fsn_potential *potential) const { fsn_potential_free(potential); }
};

typedef std::unique_ptr<fsn_model, FreeModel> Model;
typedef std::unique_ptr<fsn_potential, FreePotential> Potential;

/** A struct of the C interface that knows its size; everything else is zero. */
template <typename T> T sized()
{
  T made = T();
  made.size = sizeof(T);
  return made;
}

}    // namespace FlashSchNet

#endif
