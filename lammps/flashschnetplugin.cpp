/* pair_style flashschnet as a plugin: `plugin load flashschnetplugin.so`, or found in LAMMPS_PLUGIN_PATH.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#include "pair_flashschnet.h"

#include "lammps.h"
#include "library.h"

#include <cstdio>

namespace {

// The interface of LAMMPS' lammpsplugin.h, which is not among the headers of an installed LAMMPS.
struct lammpsplugin_t {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  void *(*creator)(void *);
  void *handle;
};
typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);

void *create(void *lmp)
{
  return new LAMMPS_NS::PairFlashSchNet(static_cast<LAMMPS_NS::LAMMPS *>(lmp));
}

/** What keeps this plugin from working in a LAMMPS, or nothing. Asks the C interface only: in another LAMMPS than the
    one compiled against nothing need be where this plugin's classes have it. */
bool fits(void *lmp, char *why, size_t size)
{
  const int tagint = lammps_extract_setting(lmp, "tagint"), bigint = lammps_extract_setting(lmp, "bigint");
  if (fsn_abi_version() != FSN_ABI_VERSION) {
    snprintf(why, size, "it was compiled for binary interface %d of libflashschnet, and found %u (version %s)",
             FSN_ABI_VERSION, fsn_abi_version(), fsn_version());
    return false;
  }
#if defined(FLASHSCHNET_LAMMPS_VERSION)
  if (lammps_version(lmp) != FLASHSCHNET_LAMMPS_VERSION) {
    snprintf(why, size, "it was compiled for LAMMPS %d, and this is LAMMPS %d", FLASHSCHNET_LAMMPS_VERSION,
             lammps_version(lmp));
    return false;
  }
#endif
  if (tagint != sizeof(LAMMPS_NS::tagint) || bigint != sizeof(LAMMPS_NS::bigint)) {
    snprintf(why, size, "it was compiled for atom IDs of %d bytes, and this LAMMPS has %d (LAMMPS_SIZES)",
             static_cast<int>(sizeof(LAMMPS_NS::tagint)), tagint);
    return false;
  }
  return true;
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  char why[256];
  if (!fits(lmp, why, sizeof why)) {
    if (lammps_extract_setting(lmp, "universe_rank") == 0)
      fprintf(stderr, "flashschnetplugin.so does not fit this program: %s. Build it for this one.\n", why);
    return;
  }
  lammpsplugin_t plugin = lammpsplugin_t();
  // LAMMPS compares this with its own and would say what has been said above.
  plugin.version = static_cast<LAMMPS_NS::LAMMPS *>(lmp)->version;
  plugin.style = "pair";
  plugin.name = "flashschnet";
  plugin.info = "FlashSchNet pair style";
  plugin.author = "the FlashSchNet authors";
  plugin.creator = create;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
