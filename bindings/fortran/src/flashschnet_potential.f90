!> A model on a device: energies, forces and virials.
module flashschnet_potential
   use, intrinsic :: iso_c_binding, only: c_funloc, c_int, c_loc, c_null_ptr, c_ptr, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int32, int64, real64
   use flashschnet_c, only: c_potential_info => fsn_potential_info, c_topology => fsn_topology, fsn_domain, fsn_neighbors, &
      fsn_options, fsn_options_set, fsn_potential_add_topology, fsn_potential_check, fsn_potential_compute, &
      fsn_potential_compute_domain, fsn_potential_enqueue, fsn_potential_free, fsn_potential_get_info, fsn_potential_new, &
      fsn_potential_set_neighbors, fsn_results, fsn_structures, fsn_success
   use flashschnet_errors, only: c_text, check_count, check_shape, conclude, fortran_text, put, refuse
   use flashschnet_exchange, only: callbacks, forward_rows, fsn_exchange
   use flashschnet_handle, only: handle, prior_shape
   use flashschnet_model, only: fsn_model, fsn_model_info, fsn_prior
   use flashschnet_structures, only: converted, describe, describe_batch, set_excluded, set_periodic
   use flashschnet_topology, only: converted_topology, describe_topology, fsn_terms
   implicit none
   private
   public :: fsn_potential, fsn_potential_info, priors_of

   !> How a potential computes.
   type :: fsn_potential_info
      !> The device in use, "cpu" or "cuda"; "single", "double" or "half"; "exact" or "table".
      character(:), allocatable :: device, precision, filters
      !> Threads in use; intervals of the tables, 0 where filters are exact.
      integer :: threads = 0, table_intervals = 0
      !> Relative error of the tables at most; skin of its own neighbour lists, in the model's unit of length.
      real(real64) :: table_bound = 0, skin = 0
      !> How often its own neighbour list was built so far.
      integer(int64) :: list_builds = 0
      !> Number of priors that are evaluated: 0 if the model has none or they are off.
      integer :: priors = 0
      !> What "auto" decided against and why, for people to read; a line each, or empty.
      character(:), allocatable :: notes
   end type

   !> A model on a device, with its workspace. Threads that share one take turns, two work side by side. Assignment makes
   !> a second handle of the same potential.
   type, extends(handle) :: fsn_potential
   contains
      procedure :: create
      procedure :: get_info
      procedure :: compute
      procedure :: compute_batch
      procedure :: enqueue
      procedure :: check
      procedure :: add_topology
      procedure :: set_neighbors
      procedure :: compute_domain
   end type

contains

   !> Makes a potential of a model; what is not chosen is the library's default.
   subroutine create(self, model, device, precision, filters, threads, skin, priors, stat, errmsg)
      class(fsn_potential), intent(inout) :: self
      type(fsn_model), intent(in) :: model
      !> "auto", "cpu" or "cuda"; "single", "double" or "half"; "auto", "exact" or "table".
      character(*), intent(in), optional :: device, precision, filters
      !> From 1 on; by default the environment's OMP_NUM_THREADS, else as many as the machine offers.
      integer, intent(in), optional :: threads
      !> Extra radius of the potential's own neighbour lists, in the model's unit of length; 0: none.
      real(real64), intent(in), optional :: skin
      !> "on" or "off": whether the model's priors are part of energies and forces.
      character(*), intent(in), optional :: priors
      !> 0, or one of the `fsn_*_error` numbers. Without it an error stops the program, with the library's text.
      integer, intent(out), optional :: stat
      !> The library's text, if there is an error.
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_options) :: options
      type(c_ptr) :: made
      integer(c_int) :: status
      character(40) :: number
      character(:), allocatable :: text
      options%size = c_sizeof(options)
      status = fsn_success
      if (present(device)) call choose('device', device)
      if (present(precision)) call choose('precision', precision)
      if (present(filters)) call choose('filters', filters)
      if (present(threads)) then
         write (number, '(i0)') threads
         call choose('threads', number)
      end if
      if (present(skin)) then
         write (number, '(es24.16e3)') skin
         call choose('skin', adjustl(number))
      end if
      if (present(priors)) call choose('priors', priors)
      if (status == fsn_success) then
         made = c_null_ptr
         status = fsn_potential_new(model%get(), options, made)
         if (status == fsn_success) then
            call self%set(made, fsn_potential_free)
            call note_priors()
         end if
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text

   contains

      subroutine choose(key, value)
         character(*), intent(in) :: key, value
         if (status == fsn_success) status = fsn_options_set(options, c_text(key), c_text(value))
      end subroutine

      subroutine note_priors()
         type(fsn_model_info) :: info
         type(fsn_prior) :: prior
         type(prior_shape), allocatable :: shapes(:)
         integer :: k
         call model%get_info(info)
         allocate (shapes(info%priors))
         do k = 1, info%priors
            call model%get_prior(k, prior)
            shapes(k)%name = prior%name
            shapes(k)%atoms = prior%atoms
         end do
         call self%set_priors(shapes)
      end subroutine
   end subroutine

   !> How the potential computes.
   subroutine get_info(self, info, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      type(fsn_potential_info), intent(inout) :: info
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_potential_info) :: from
      integer(c_int) :: status
      character(:), allocatable :: text
      from%size = c_sizeof(from)
      status = fsn_potential_get_info(self%get(), from)
      if (status == fsn_success) then
         info%device = fortran_text(from%device)
         info%precision = fortran_text(from%precision)
         info%filters = fortran_text(from%filters)
         info%threads = int(from%threads)
         info%table_intervals = int(from%table_intervals)
         info%table_bound = from%table_bound
         info%skin = from%skin
         info%list_builds = from%list_builds
         info%priors = int(from%priors)
         info%notes = fortran_text(from%notes)
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Computes one structure, whose neighbours the library finds and keeps while no atom has moved half the skin.
   subroutine compute(self, positions, types, cell, periodic, excluded, energy, forces, virial, atom_energies, &
      atom_virials, term_energies, topology, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      !> (3, atoms), in the model's unit of length. They need not lie in the cell.
      real(real64), intent(in), contiguous, target :: positions(:, :)
      !> (atoms): atomic numbers or bead types.
      integer(int32), intent(in), contiguous, target :: types(:)
      !> Lattice vectors, as columns; by default there is no cell.
      real(real64), intent(in), contiguous, target, optional :: cell(:, :)
      !> (3): which directions are periodic; by default all are, where there is a cell.
      logical, intent(in), optional :: periodic(:)
      !> (2, pairs) atoms, from 1: pairs that are left out of the graph.
      integer(int32), intent(in), optional :: excluded(:, :)
      real(real64), intent(inout), target, optional :: energy
      !> (3, atoms): −dE/dr.
      real(real64), intent(inout), contiguous, target, optional :: forces(:, :)
      !> (3, 3): −dE/dε for a strain ε; the stress is −virial / volume.
      real(real64), intent(inout), contiguous, target, optional :: virial(:, :)
      !> (atoms)
      real(real64), intent(inout), contiguous, target, optional :: atom_energies(:)
      !> (3, 3, atoms): each atom's share of the virial.
      real(real64), intent(inout), contiguous, target, optional :: atom_virials(:, :, :)
      !> (1 + priors): energy of the network, then of each prior.
      real(real64), intent(inout), contiguous, target, optional :: term_energies(:)
      !> The structure's terms of priors, as the model's file numbers them, from 1; by default they are
      !> found by the types.
      integer, intent(in), optional :: topology
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_structures) :: given
      type(converted), target :: kept
      type(fsn_results) :: results
      character(:), allocatable :: text
      integer(c_int) :: status
      integer :: atoms
      integer(int32), target :: topologies(1)
      atoms = size(positions, 2)
      call describe(given, kept, [atoms], positions, text)
      call put(given%types, c_loc(types), shape(types), [atoms], 'types', text)
      if (present(cell)) call put(given%cells, c_loc(cell), shape(cell), [3, 3], 'cell', text)
      if (present(periodic)) then
         call check_shape(shape(periodic), [3], 'periodic', text)
         call set_periodic(given, kept, periodic)
      end if
      if (present(excluded)) call set_excluded(given, kept, excluded, text)
      results%size = c_sizeof(results)
      if (present(topology)) then
         topologies = topology - 1
         given%topologies = c_loc(topologies)
      end if
      if (present(energy)) results%energies = c_loc(energy)
      if (present(term_energies)) &
         call put(results%term_energies, c_loc(term_energies), shape(term_energies), [1 + priors_of(self)], &
         'term_energies', text)
      if (present(forces)) call put(results%forces, c_loc(forces), shape(forces), [3, atoms], 'forces', text)
      if (present(virial)) call put(results%virials, c_loc(virial), shape(virial), [3, 3], 'virial', text)
      if (present(atom_energies)) &
         call put(results%atom_energies, c_loc(atom_energies), shape(atom_energies), [atoms], 'atom_energies', text)
      if (present(atom_virials)) &
         call put(results%atom_virials, c_loc(atom_virials), shape(atom_virials), [3, 3, atoms], 'atom_virials', text)
      status = fsn_success
      if (.not. allocated(text)) status = fsn_potential_compute(self%get(), given, results)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Computes independent structures, their atoms one after the other.
   subroutine compute_batch(self, counts, positions, types, cells, periodic, excluded, energies, forces, virials, &
      atom_energies, atom_virials, term_energies, topologies, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      !> Atoms of each structure.
      integer, intent(in) :: counts(:)
      !> (3, atoms of all structures)
      real(real64), intent(in), contiguous, target :: positions(:, :)
      integer(int32), intent(in), contiguous, target :: types(:)
      !> (3, 3, structures): lattice vectors, as columns.
      real(real64), intent(in), contiguous, target, optional :: cells(:, :, :)
      !> (3, structures)
      logical, intent(in), optional :: periodic(:, :)
      !> (2, pairs) atoms, from 1 over all structures.
      integer(int32), intent(in), optional :: excluded(:, :)
      !> (structures)
      real(real64), intent(inout), contiguous, target, optional :: energies(:)
      real(real64), intent(inout), contiguous, target, optional :: forces(:, :)
      !> (3, 3, structures)
      real(real64), intent(inout), contiguous, target, optional :: virials(:, :, :)
      real(real64), intent(inout), contiguous, target, optional :: atom_energies(:)
      real(real64), intent(inout), contiguous, target, optional :: atom_virials(:, :, :)
      !> (1 + priors, structures)
      real(real64), intent(inout), contiguous, target, optional :: term_energies(:, :)
      !> (structures), from 1; 0 to find one by the types.
      integer, intent(in), optional :: topologies(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_structures) :: given
      type(converted), target :: kept
      type(fsn_results) :: results
      character(:), allocatable :: text
      integer(c_int) :: status
      integer :: atoms, n
      n = size(counts)
      atoms = size(positions, 2)
      call describe_batch(given, kept, counts, positions, types, periodic, excluded, topologies, text)
      if (present(cells)) call put(given%cells, c_loc(cells), shape(cells), [3, 3, n], 'cells', text)
      results%size = c_sizeof(results)
      if (present(term_energies)) &
         call put(results%term_energies, c_loc(term_energies), shape(term_energies), [1 + priors_of(self), n], &
         'term_energies', text)
      if (present(energies)) call put(results%energies, c_loc(energies), shape(energies), [n], 'energies', text)
      if (present(forces)) call put(results%forces, c_loc(forces), shape(forces), [3, atoms], 'forces', text)
      if (present(virials)) call put(results%virials, c_loc(virials), shape(virials), [3, 3, n], 'virials', text)
      if (present(atom_energies)) &
         call put(results%atom_energies, c_loc(atom_energies), shape(atom_energies), [atoms], 'atom_energies', text)
      if (present(atom_virials)) &
         call put(results%atom_virials, c_loc(atom_virials), shape(atom_virials), [3, 3, atoms], 'atom_virials', text)
      status = fsn_success
      if (.not. allocated(text)) status = fsn_potential_compute(self%get(), given, results)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Puts the computation of structures on a stream of CUDA, with every array in the memory of the potential's GPU: nothing is
   !> copied. The results are there when the stream is done; what went wrong is told by `check`.
   !>
   !> Arrays are addresses on the GPU: `c_loc` of an array within `use_device` of OpenACC or `use_device_addr` of OpenMP,
   !> `transfer(c_devloc(array), c_null_ptr)` in CUDA Fortran. What they hold is as in C: `real64` and `int32`, coordinates
   !> first, and what numbers atoms or topologies counts from 0. What is left out or null is as in `compute_batch`.
   subroutine enqueue(self, atoms, positions, types, structures, offsets, cells, periodic, excluded_pairs, excluded, topologies, &
      energies, forces, virials, atom_energies, atom_virials, term_energies, stream, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      !> Atoms of all structures.
      integer, intent(in) :: atoms
      !> (3, atoms); (atoms)
      type(c_ptr), intent(in) :: positions, types
      !> Number of structures, by default one.
      integer, intent(in), optional :: structures
      !> (structures + 1) of `c_size_t`: how many atoms are before each; needed for several structures.
      type(c_ptr), intent(in), optional :: offsets
      !> (3, 3, structures): lattice vectors, as columns.
      type(c_ptr), intent(in), optional :: cells
      !> (3, structures) of `c_int8_t`, 0 or 1.
      type(c_ptr), intent(in), optional :: periodic
      integer, intent(in), optional :: excluded_pairs
      !> (2, excluded_pairs)
      type(c_ptr), intent(in), optional :: excluded
      !> (structures), negative to find one by the types.
      type(c_ptr), intent(in), optional :: topologies
      !> (structures); (3, atoms); (3, 3, structures); (atoms); (3, 3, atoms); (1 + priors, structures)
      type(c_ptr), intent(in), optional :: energies, forces, virials, atom_energies, atom_virials, term_energies
      !> A `cudaStream_t` or `CUstream`; by default the default one.
      type(c_ptr), intent(in), optional :: stream
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_structures) :: given
      type(fsn_results) :: results
      character(:), allocatable :: text
      integer(c_int) :: status
      integer(int32), target :: none
      given%size = c_sizeof(given)
      given%structures = 1
      if (present(structures)) given%structures = count_of(structures, 'structures')
      given%atoms = count_of(atoms, 'atoms')
      given%positions = positions
      given%types = types
      if (present(offsets)) given%offsets = offsets
      if (present(cells)) given%cells = cells
      if (present(periodic)) given%periodic = periodic
      if (present(excluded_pairs)) then
         given%excluded_pairs = count_of(excluded_pairs, 'excluded_pairs')
         ! Of no pairs nothing is read; a null pointer would mean that nothing is said of exclusions.
         if (excluded_pairs == 0) given%excluded = c_loc(none)
      end if
      if (present(excluded)) given%excluded = excluded
      if (present(topologies)) given%topologies = topologies
      results%size = c_sizeof(results)
      if (present(energies)) results%energies = energies
      if (present(forces)) results%forces = forces
      if (present(virials)) results%virials = virials
      if (present(atom_energies)) results%atom_energies = atom_energies
      if (present(atom_virials)) results%atom_virials = atom_virials
      if (present(term_energies)) results%term_energies = term_energies
      status = fsn_success
      if (.not. allocated(text)) status = fsn_potential_enqueue(self%get(), given, results, stream_of(stream))
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text

   contains

      integer(c_size_t) function count_of(number, name)
         integer, intent(in) :: number
         character(*), intent(in) :: name
         call check_count(number, name, text)
         count_of = max(0, number)
      end function
   end subroutine

   !> Waits for a stream, and reports the first thing that went wrong in what was enqueued since the last check; `fsn_again`
   !> says that it has to be enqueued once more, from positions that were sound.
   subroutine check(self, stream, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      !> A `cudaStream_t` or `CUstream`; by default the default one.
      type(c_ptr), intent(in), optional :: stream
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      character(:), allocatable :: text
      integer(c_int) :: status
      status = fsn_potential_check(self%get(), stream_of(stream))
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   function stream_of(stream) result(given)
      type(c_ptr), intent(in), optional :: stream
      type(c_ptr) :: given
      given = c_null_ptr
      if (present(stream)) given = stream
   end function

   !> Adds a molecule that the model's file does not have to those that priors can be evaluated for; parameters are found by
   !> the types of the atoms of each term.
   subroutine add_topology(self, types, terms, number, name, stat, errmsg)
      class(fsn_potential), intent(in) :: self
      !> (atoms)
      integer(int32), intent(in), contiguous, target :: types(:)
      !> The terms of every prior of the model, in any order.
      type(fsn_terms), intent(in) :: terms(:)
      !> What `topology` and `topologies` call it, from 1.
      integer, intent(inout) :: number
      !> What it is called in error texts.
      character(*), intent(in), optional :: name
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_topology) :: given
      type(converted_topology), target :: kept
      character(:), allocatable :: text, label
      integer(c_int) :: status
      integer(int32) :: made
      label = ''
      if (present(name)) label = name
      call describe_topology(given, kept, self, label, types, terms, text)
      status = fsn_success
      if (.not. allocated(text)) then
         status = fsn_potential_add_topology(self%get(), given, made)
         if (status == fsn_success) number = made + 1
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Takes over a host's own neighbour list for `compute_domain`. The library keeps a copy, so it is called when the list
   !> has changed, not every step.
   subroutine set_neighbors(self, first, neighbors, atoms, owners, stat, errmsg)
      class(fsn_potential), intent(inout) :: self
      !> (owned atoms + 1): neighbours of owned atom i are `neighbors(first(i):first(i + 1) - 1)`; `first(1)` is 1.
      integer, intent(in) :: first(:)
      !> For every owned atom all its neighbours within the cutoff or more, owned atoms and ghosts, from 1.
      integer(int32), intent(in), contiguous, target :: neighbors(:)
      !> Number of owned atoms and ghosts together; by default there are no ghosts, or as many as `owners` says.
      integer, intent(in), optional :: atoms
      !> (atoms): the atom, from 1, that each is a copy of: itself for owned ones, an owned one, or for ghosts of an atom
      !> that is elsewhere one of them, which is its own owner. Left out: no ghost is a copy of another atom here.
      integer(int32), intent(in), contiguous, target, optional :: owners(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      integer(c_size_t), allocatable, target :: offsets(:)
      type(fsn_neighbors) :: given
      integer(c_int) :: status
      character(:), allocatable :: text
      integer :: i, owned, count
      owned = size(first) - 1
      count = owned
      if (present(owners)) count = size(owners)
      if (present(atoms)) count = atoms
      if (owned < 0) then
         call refuse('first has no elements, must have one more than there are owned atoms', text)
      else
         ! The library reads as many neighbours as the last of these says.
         call put(given%neighbors, c_loc(neighbors), shape(neighbors), [first(owned + 1) - 1], 'neighbors', text)
      end if
      if (present(owners)) call put(given%owners, c_loc(owners), shape(owners), [count], 'owners', text)
      status = fsn_success
      if (.not. allocated(text)) then
         allocate (offsets(size(first)))
         offsets(:) = int(first, c_size_t) - 1
         given%size = c_sizeof(given)
         given%owned = owned
         given%atoms = count
         given%offsets = c_loc(offsets)
         given%base = 1
         status = fsn_potential_set_neighbors(self%get(), given)
         if (status == fsn_success) then
            if (present(owners)) count = owned + sum([(merge(1, 0, owners(i) == i), i=owned + 1, count)])
            call self%set_domain(owned, count)
         end if
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Computes a host's domain with the list that was set.
   subroutine compute_domain(self, positions, types, exchange, energy, forces, virial, atom_energies, atom_virials, stat, &
      errmsg)
      class(fsn_potential), intent(in) :: self
      !> (3, atoms): owned atoms, then ghosts.
      real(real64), intent(in), contiguous, target :: positions(:, :)
      integer(int32), intent(in), contiguous, target :: types(:)
      !> Not needed if all ghosts are copies of owned atoms.
      class(fsn_exchange), intent(inout), target, optional :: exchange
      !> The sum over owned atoms.
      real(real64), intent(inout), target, optional :: energy
      !> (3, atoms); ghosts have none. Only with neither owners nor an exchange, as networks of one block may be computed,
      !> ghosts have some, to be added to their owners'.
      real(real64), intent(inout), contiguous, target, optional :: forces(:, :)
      real(real64), intent(inout), contiguous, target, optional :: virial(:, :)
      !> (owned atoms)
      real(real64), intent(inout), contiguous, target, optional :: atom_energies(:)
      !> (3, 3, atoms)
      real(real64), intent(inout), contiguous, target, optional :: atom_virials(:, :, :)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_domain) :: given
      type(fsn_results) :: results
      type(callbacks), target :: context
      character(:), allocatable :: text
      integer(c_int) :: status
      integer :: atoms, owned
      atoms = size(positions, 2)
      owned = self%owned()
      given%size = c_sizeof(given)
      given%atoms = atoms
      call put(given%positions, c_loc(positions), shape(positions), [3, atoms], 'positions', text)
      call put(given%types, c_loc(types), shape(types), [atoms], 'types', text)
      if (present(exchange)) then
         context%host => exchange
         context%rows = self%exchanged()
         given%context = c_loc(context)
         given%forward = c_funloc(forward_rows)
      end if
      results%size = c_sizeof(results)
      if (present(energy)) results%energies = c_loc(energy)
      if (present(forces)) call put(results%forces, c_loc(forces), shape(forces), [3, atoms], 'forces', text)
      if (present(virial)) call put(results%virials, c_loc(virial), shape(virial), [3, 3], 'virial', text)
      if (present(atom_energies)) &
         call put(results%atom_energies, c_loc(atom_energies), shape(atom_energies), [owned], 'atom_energies', text)
      if (present(atom_virials)) &
         call put(results%atom_virials, c_loc(atom_virials), shape(atom_virials), [3, 3, atoms], 'atom_virials', text)
      status = fsn_success
      if (.not. allocated(text)) status = fsn_potential_compute_domain(self%get(), given, results)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Number of priors that a potential evaluates; 0 without a potential, which the library then refuses.
   integer function priors_of(potential)
      class(fsn_potential), intent(in) :: potential
      type(c_potential_info) :: info
      info%size = c_sizeof(info)
      priors_of = 0
      if (fsn_potential_get_info(potential%get(), info) == fsn_success) priors_of = int(info%priors)
   end function
end module
