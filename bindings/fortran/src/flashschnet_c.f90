!> The functions and structs of `flashschnet.h`, as they are there; its comments say what they do.
module flashschnet_c
   use, intrinsic :: iso_c_binding, only: c_char, c_double, c_funptr, c_int, c_int32_t, c_int64_t, c_null_funptr, &
      c_null_ptr, c_ptr, c_size_t
   implicit none
   public

   integer(c_int), parameter :: &
      fsn_success = 0, fsn_invalid_argument = 1, fsn_io_error = 2, fsn_model_error = 3, fsn_unsupported = 4, &
      fsn_out_of_memory = 5, fsn_numerical_error = 6, fsn_callback_error = 7, fsn_device_error = 8, &
      fsn_again = 9, fsn_internal_error = 255

   type, bind(c) :: fsn_model_info
      integer(c_size_t) :: size = 0
      real(c_double) :: cutoff = 0
      integer(c_size_t) :: blocks = 0, features = 0, filters = 0, basis_functions = 0, types = 0, parameters = 0, &
         priors = 0, excluded_bonds = 0
      type(c_ptr) :: length_unit = c_null_ptr, energy_unit = c_null_ptr
      real(c_double) :: length_in_angstrom = 0, energy_in_ev = 0
   end type

   type, bind(c) :: fsn_type
      integer(c_size_t) :: size = 0
      integer(c_int32_t) :: index = 0, atomic_number = 0
      real(c_double) :: mass = 0
      type(c_ptr) :: name = c_null_ptr
   end type

   type, bind(c) :: fsn_options
      integer(c_size_t) :: size = 0
      integer(c_int32_t) :: device = 0, precision = 0, filters = 0, threads = 0
      real(c_double) :: skin = 0
      integer(c_int32_t) :: priors = 0
   end type

   type, bind(c) :: fsn_potential_info
      integer(c_size_t) :: size = 0
      type(c_ptr) :: device = c_null_ptr, precision = c_null_ptr, filters = c_null_ptr
      integer(c_size_t) :: threads = 0, table_intervals = 0
      real(c_double) :: table_bound = 0, skin = 0
      integer(c_int64_t) :: list_builds = 0
      integer(c_size_t) :: priors = 0
      type(c_ptr) :: notes = c_null_ptr, gpu = c_null_ptr
      integer(c_size_t) :: gpu_memory = 0
      type(c_ptr) :: kernels = c_null_ptr
      integer(c_int32_t) :: compute_capability = 0
   end type

   type, bind(c) :: fsn_structures
      integer(c_size_t) :: size = 0, structures = 0
      type(c_ptr) :: offsets = c_null_ptr
      integer(c_size_t) :: atoms = 0
      type(c_ptr) :: positions = c_null_ptr, types = c_null_ptr, cells = c_null_ptr, periodic = c_null_ptr
      integer(c_size_t) :: excluded_pairs = 0
      type(c_ptr) :: excluded = c_null_ptr, topologies = c_null_ptr
   end type

   type, bind(c) :: fsn_results
      integer(c_size_t) :: size = 0
      type(c_ptr) :: energies = c_null_ptr, atom_energies = c_null_ptr, forces = c_null_ptr, virials = c_null_ptr, &
         atom_virials = c_null_ptr, term_energies = c_null_ptr
   end type

   type, bind(c) :: fsn_prior
      integer(c_size_t) :: size = 0
      type(c_ptr) :: name = c_null_ptr
      integer(c_size_t) :: atoms = 0
   end type

   type, bind(c) :: fsn_neighbors
      integer(c_size_t) :: size = 0, owned = 0, atoms = 0
      type(c_ptr) :: offsets = c_null_ptr, neighbors = c_null_ptr, owners = c_null_ptr
      integer(c_int32_t) :: base = 0
   end type

   type, bind(c) :: fsn_domain
      integer(c_size_t) :: size = 0, atoms = 0
      type(c_ptr) :: positions = c_null_ptr, types = c_null_ptr
      type(c_funptr) :: forward = c_null_funptr, reverse = c_null_funptr
      type(c_ptr) :: context = c_null_ptr
      type(c_funptr) :: forward_on_device = c_null_funptr
   end type

   type, bind(c) :: fsn_device_rows
      integer(c_size_t) :: size = 0
      type(c_ptr) :: rows = c_null_ptr
      integer(c_size_t) :: width = 0, stride = 0, element_size = 0
      type(c_ptr) :: stream = c_null_ptr
   end type

   type, bind(c) :: fsn_pairs
      integer(c_size_t) :: size = 0, atoms = 0, pairs = 0
      type(c_ptr) :: offsets = c_null_ptr, neighbors = c_null_ptr, shifts = c_null_ptr
   end type

   integer(c_int32_t), parameter :: fsn_langevin = 0, fsn_verlet = 1

   type, bind(c) :: fsn_topology
      integer(c_size_t) :: size = 0
      type(c_ptr) :: name = c_null_ptr
      integer(c_size_t) :: atoms = 0
      type(c_ptr) :: types = c_null_ptr
      integer(c_size_t) :: lists = 0
      type(c_ptr) :: priors = c_null_ptr, counts = c_null_ptr, terms = c_null_ptr
   end type

   type, bind(c) :: fsn_settings
      integer(c_size_t) :: size = 0
      integer(c_int32_t) :: integrator = fsn_langevin
      real(c_double) :: timestep = 0, friction = 0
      integer(c_int64_t) :: seed = 0
      type(c_ptr) :: thermal_energies = c_null_ptr, masses = c_null_ptr, velocities = c_null_ptr, streams = c_null_ptr
      integer(c_int64_t) :: exchange_interval = 0
      type(c_ptr) :: ladders = c_null_ptr
      real(c_double) :: largest_step = 0
   end type

   type, bind(c) :: fsn_state
      integer(c_size_t) :: size = 0
      type(c_ptr) :: steps = c_null_ptr, positions = c_null_ptr, velocities = c_null_ptr, forces = c_null_ptr, &
         energies = c_null_ptr, kinetic_energies = c_null_ptr, term_energies = c_null_ptr, walkers = c_null_ptr, &
         frozen = c_null_ptr, pairs = c_null_ptr
   end type

   type, bind(c) :: fsn_exchanges
      integer(c_size_t) :: size = 0, colder = 0, warmer = 0
      integer(c_int64_t) :: attempts = 0, accepted = 0
   end type

   interface
      function fsn_last_error() bind(c) result(text)
         import :: c_ptr
         type(c_ptr) :: text
      end function

      function fsn_version() bind(c) result(text)
         import :: c_ptr
         type(c_ptr) :: text
      end function

      function fsn_abi_version() bind(c) result(version)
         import :: c_int32_t
         integer(c_int32_t) :: version
      end function

      function fsn_model_load(path, model) bind(c) result(status)
         import :: c_char, c_int, c_ptr
         character(kind=c_char), intent(in) :: path(*)
         type(c_ptr), intent(inout) :: model
         integer(c_int) :: status
      end function

      function fsn_model_load_buffer(name, data, length, model) bind(c) result(status)
         import :: c_char, c_int, c_ptr, c_size_t
         character(kind=c_char), intent(in) :: name(*)
         type(c_ptr), value :: data
         integer(c_size_t), value :: length
         type(c_ptr), intent(inout) :: model
         integer(c_int) :: status
      end function

      subroutine fsn_model_free(model) bind(c)
         import :: c_ptr
         type(c_ptr), value :: model
      end subroutine

      function fsn_model_get_info(model, info) bind(c) result(status)
         import :: c_int, c_ptr, fsn_model_info
         type(c_ptr), value :: model
         type(fsn_model_info), intent(inout) :: info
         integer(c_int) :: status
      end function

      function fsn_model_get_type(model, index, kind) bind(c) result(status)
         import :: c_int, c_ptr, c_size_t, fsn_type
         type(c_ptr), value :: model
         integer(c_size_t), value :: index
         type(fsn_type), intent(inout) :: kind
         integer(c_int) :: status
      end function

      function fsn_model_get_prior(model, index, prior) bind(c) result(status)
         import :: c_int, c_ptr, c_size_t, fsn_prior
         type(c_ptr), value :: model
         integer(c_size_t), value :: index
         type(fsn_prior), intent(inout) :: prior
         integer(c_int) :: status
      end function

      function fsn_model_description(model) bind(c) result(text)
         import :: c_ptr
         type(c_ptr), value :: model
         type(c_ptr) :: text
      end function

      function fsn_options_set(options, key, value) bind(c) result(status)
         import :: c_char, c_int, fsn_options
         type(fsn_options), intent(inout) :: options
         character(kind=c_char), intent(in) :: key(*), value(*)
         integer(c_int) :: status
      end function

      function fsn_potential_new(model, options, potential) bind(c) result(status)
         import :: c_int, c_ptr, fsn_options
         type(c_ptr), value :: model
         type(fsn_options), intent(in) :: options
         type(c_ptr), intent(inout) :: potential
         integer(c_int) :: status
      end function

      subroutine fsn_potential_free(potential) bind(c)
         import :: c_ptr
         type(c_ptr), value :: potential
      end subroutine

      function fsn_potential_get_info(potential, info) bind(c) result(status)
         import :: c_int, c_ptr, fsn_potential_info
         type(c_ptr), value :: potential
         type(fsn_potential_info), intent(inout) :: info
         integer(c_int) :: status
      end function

      function fsn_potential_compute(potential, structures, results) bind(c) result(status)
         import :: c_int, c_ptr, fsn_results, fsn_structures
         type(c_ptr), value :: potential
         type(fsn_structures), intent(in) :: structures
         type(fsn_results), intent(in) :: results
         integer(c_int) :: status
      end function

      function fsn_potential_enqueue(potential, structures, results, stream) bind(c) result(status)
         import :: c_int, c_ptr, fsn_results, fsn_structures
         type(c_ptr), value :: potential
         type(fsn_structures), intent(in) :: structures
         type(fsn_results), intent(in) :: results
         type(c_ptr), value :: stream
         integer(c_int) :: status
      end function

      function fsn_potential_check(potential, stream) bind(c) result(status)
         import :: c_int, c_ptr
         type(c_ptr), value :: potential, stream
         integer(c_int) :: status
      end function

      function fsn_potential_set_neighbors(potential, neighbors) bind(c) result(status)
         import :: c_int, c_ptr, fsn_neighbors
         type(c_ptr), value :: potential
         type(fsn_neighbors), intent(in) :: neighbors
         integer(c_int) :: status
      end function

      function fsn_potential_compute_domain(potential, domain, results) bind(c) result(status)
         import :: c_int, c_ptr, fsn_domain, fsn_results
         type(c_ptr), value :: potential
         type(fsn_domain), intent(in) :: domain
         type(fsn_results), intent(in) :: results
         integer(c_int) :: status
      end function

      function fsn_potential_add_topology(potential, topology, number) bind(c) result(status)
         import :: c_int, c_int32_t, c_ptr, fsn_topology
         type(c_ptr), value :: potential
         type(fsn_topology), intent(in) :: topology
         integer(c_int32_t), intent(inout) :: number
         integer(c_int) :: status
      end function

      function fsn_simulation_new(potential, structures, settings, simulation) bind(c) result(status)
         import :: c_int, c_ptr, fsn_settings, fsn_structures
         type(c_ptr), value :: potential
         type(fsn_structures), intent(in) :: structures
         type(fsn_settings), intent(in) :: settings
         type(c_ptr), intent(inout) :: simulation
         integer(c_int) :: status
      end function

      subroutine fsn_simulation_free(simulation) bind(c)
         import :: c_ptr
         type(c_ptr), value :: simulation
      end subroutine

      function fsn_simulation_run(simulation, steps) bind(c) result(status)
         import :: c_int, c_int64_t, c_ptr
         type(c_ptr), value :: simulation
         integer(c_int64_t), value :: steps
         integer(c_int) :: status
      end function

      function fsn_simulation_get_state(simulation, state) bind(c) result(status)
         import :: c_int, c_ptr, fsn_state
         type(c_ptr), value :: simulation
         type(fsn_state), intent(in) :: state
         integer(c_int) :: status
      end function

      function fsn_simulation_get_reason(simulation, replica) bind(c) result(text)
         import :: c_ptr, c_size_t
         type(c_ptr), value :: simulation
         integer(c_size_t), value :: replica
         type(c_ptr) :: text
      end function

      function fsn_simulation_get_exchanges(simulation, index, exchanges) bind(c) result(status)
         import :: c_int, c_ptr, c_size_t, fsn_exchanges
         type(c_ptr), value :: simulation
         integer(c_size_t), value :: index
         type(fsn_exchanges), intent(inout) :: exchanges
         integer(c_int) :: status
      end function

      function fsn_simulation_checkpoint(simulation, bytes, length) bind(c) result(status)
         import :: c_int, c_ptr, c_size_t
         type(c_ptr), value :: simulation, bytes
         integer(c_size_t), intent(inout) :: length
         integer(c_int) :: status
      end function

      function fsn_simulation_restore(simulation, bytes, length) bind(c) result(status)
         import :: c_int, c_ptr, c_size_t
         type(c_ptr), value :: simulation, bytes
         integer(c_size_t), value :: length
         integer(c_int) :: status
      end function

      function fsn_neighbor_list_new(structures, cutoff, list) bind(c) result(status)
         import :: c_double, c_int, c_ptr, fsn_structures
         type(fsn_structures), intent(in) :: structures
         real(c_double), value :: cutoff
         type(c_ptr), intent(inout) :: list
         integer(c_int) :: status
      end function

      function fsn_neighbor_list_get(list, pairs) bind(c) result(status)
         import :: c_int, c_ptr, fsn_pairs
         type(c_ptr), value :: list
         type(fsn_pairs), intent(inout) :: pairs
         integer(c_int) :: status
      end function

      subroutine fsn_neighbor_list_free(list) bind(c)
         import :: c_ptr
         type(c_ptr), value :: list
      end subroutine
   end interface
end module
