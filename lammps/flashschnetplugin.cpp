/* pair_style flashschnet as a plugin: `plugin load flashschnetplugin.so`, or found in LAMMPS_PLUGIN_PATH.
   This software is distributed under the GNU General Public License, version 2; see LICENSE. */

#include "lammps.h"

#include "comm.h"
#include "error.h"

#include "pair_flashschnet.h"

#include <cstdlib>
#include <string>

#if defined(__has_include)
#if __has_include("version.h")
#include "version.h"
#endif
#endif

namespace {

// The interface of LAMMPS' lammpsplugin.h, which installed headers lack.
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

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  lammpsplugin_t plugin = lammpsplugin_t();
  // The name of the LAMMPS whose headers were compiled against, where they tell; LAMMPS says if it is another one itself.
#if defined(LAMMPS_VERSION)
  plugin.version = LAMMPS_VERSION;
#else
  plugin.version = static_cast<LAMMPS_NS::LAMMPS *>(lmp)->version;
#endif
  plugin.style = "pair";
  plugin.name = "flashschnet";
  plugin.info = "FlashSchNet pair style";
  plugin.author = "the FlashSchNet authors";
  plugin.creator = create;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
