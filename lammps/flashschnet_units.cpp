/* pair_style flashschnet: SchNet force fields for LAMMPS.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#include "flashschnet_units.h"

#include <cstring>

namespace {

// CODATA 2018, as in the core, so that a model in a unit and LAMMPS in the same one agree to the last digit.
const double ELEMENTARY_CHARGE = 1.602176634e-19;
const double KCAL_PER_MOL = 4184.0 / 6.02214076e23 / ELEMENTARY_CHARGE;
const double HARTREE = 27.211386245988;
const double BOHR = 0.529177210903;

struct Named {
  const char *style;
  FlashSchNet::Units units;
};

// https://docs.lammps.org/units.html
const Named NAMED[] = {
    {"metal", {1.0, 1.0}},
    {"real", {1.0, KCAL_PER_MOL}},
    {"electron", {BOHR, HARTREE}},
    {"si", {1e10, 1.0 / ELEMENTARY_CHARGE}},          // m, J
    {"cgs", {1e8, 1e-7 / ELEMENTARY_CHARGE}},         // cm, erg
    {"micro", {1e4, 1e-15 / ELEMENTARY_CHARGE}},      // µm, pg µm²/µs²
    {"nano", {10.0, 1e-21 / ELEMENTARY_CHARGE}},      // nm, ag nm²/ns²
};

}    // namespace

bool FlashSchNet::find_units(const char *style, Units &units)
{
  for (const Named &named : NAMED) {
    if (strcmp(named.style, style) == 0) {
      units = named.units;
      return true;
    }
  }
  return false;
}
