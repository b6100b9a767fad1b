/* -*- c++ -*-
   pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#ifndef FLASHSCHNET_UNITS_H
#define FLASHSCHNET_UNITS_H

namespace FlashSchNet {

/** LAMMPS' unit of length in ångström and of energy in electronvolt. */
struct Units {
  double length_in_angstrom;
  double energy_in_ev;
};

/** What the units of `style` are, as in `units metal`; false if it defines none, as `lj`. */
bool find_units(const char *style, Units &units);

}    // namespace FlashSchNet

#endif
