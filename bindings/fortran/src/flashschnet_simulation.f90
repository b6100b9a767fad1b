!> Dynamics of many replicas together.
module flashschnet_simulation
   use, intrinsic :: iso_c_binding, only: c_int, c_int64_t, c_loc, c_null_ptr, c_ptr, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int32, int64, int8, real64
   use flashschnet_c, only: c_exchanges => fsn_exchanges, fsn_langevin, fsn_settings, fsn_simulation_checkpoint, &
      fsn_simulation_free, fsn_simulation_get_exchanges, fsn_simulation_get_reason, fsn_simulation_get_state, &
      fsn_simulation_new, fsn_simulation_restore, fsn_simulation_run, fsn_state, fsn_structures, fsn_success, fsn_verlet
   use flashschnet_errors, only: check_count, conclude, fortran_text, put, refuse
   use flashschnet_handle, only: handle
   use flashschnet_potential, only: fsn_potential, priors_of
   use flashschnet_structures, only: converted, describe_batch
   implicit none
   private
   public :: fsn_exchanges, fsn_simulation

   !> Two replicas at neighbouring temperatures, from 1, and how often they exchanged.
   type :: fsn_exchanges
      integer :: colder = 0, warmer = 0
      integer(int64) :: attempts = 0, accepted = 0
   end type

   !> Replicas that move together. It keeps its potential, which may be freed first. Threads that share one take turns.
   !> Assignment makes a second handle of the same simulation. Time is in ps, mass in u, the rest in the model's units.
   type, extends(handle) :: fsn_simulation
   contains
      procedure :: create
      procedure :: run
      procedure :: get_state
      procedure :: get_exchanges
      procedure :: reason
      procedure :: checkpoint
      procedure :: restore
   end type

contains

   !> Makes a simulation of replicas, and computes their energies and forces for the first time.
   subroutine create(self, potential, counts, positions, types, timestep, thermal_energies, friction, integrator, cells, &
      periodic, excluded, topologies, masses, velocities, seed, streams, exchange_interval, ladders, largest_step, stat, errmsg)
      class(fsn_simulation), intent(inout) :: self
      type(fsn_potential), intent(in) :: potential
      !> Atoms of each replica.
      integer, intent(in) :: counts(:)
      !> (3, atoms of all replicas)
      real(real64), intent(in), contiguous, target :: positions(:, :)
      integer(int32), intent(in), contiguous, target :: types(:)
      !> In ps.
      real(real64), intent(in) :: timestep
      !> (replicas): k·T.
      real(real64), intent(in), contiguous, target :: thermal_energies(:)
      !> Of Langevin dynamics, in 1/ps.
      real(real64), intent(in), optional :: friction
      !> "langevin", which is the default, or "verlet".
      character(*), intent(in), optional :: integrator
      !> (3, 3, replicas): lattice vectors, as columns.
      real(real64), intent(in), contiguous, target, optional :: cells(:, :, :)
      !> (3, replicas)
      logical, intent(in), optional :: periodic(:, :)
      !> (2, pairs) atoms, from 1 over all replicas.
      integer(int32), intent(in), optional :: excluded(:, :)
      !> (replicas), from 1; 0 to find one by the types.
      integer, intent(in), optional :: topologies(:)
      !> (atoms), in u; by default those of the model's types.
      real(real64), intent(in), contiguous, target, optional :: masses(:)
      !> (3, atoms); by default drawn from the Maxwell–Boltzmann distribution.
      real(real64), intent(in), contiguous, target, optional :: velocities(:, :)
      !> Where random numbers begin; by default 0.
      integer(int64), intent(in), optional :: seed
      !> (replicas), not negative: the stream of random numbers of each, no two the same; by default 0, 1, 2, …
      integer(int32), intent(in), contiguous, target, optional :: streams(:)
      !> Steps between attempts to exchange configurations of neighbouring temperatures; by default never.
      integer, intent(in), optional :: exchange_interval
      !> (replicas): the ladder of temperatures each belongs to, negative for none; by default all to one.
      integer(int32), intent(in), contiguous, target, optional :: ladders(:)
      !> A replica has blown up if an atom moves further than this in one step; by default 10 Å.
      real(real64), intent(in), optional :: largest_step
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_structures) :: given
      type(converted), target :: kept
      type(fsn_settings) :: settings
      type(c_ptr) :: made
      character(:), allocatable :: text
      integer(c_int) :: status
      integer :: atoms, n
      n = size(counts)
      atoms = size(positions, 2)
      call describe_batch(given, kept, counts, positions, types, periodic, excluded, topologies, text)
      if (present(cells)) call put(given%cells, c_loc(cells), shape(cells), [3, 3, n], 'cells', text)
      settings%size = c_sizeof(settings)
      settings%timestep = timestep
      call put(settings%thermal_energies, c_loc(thermal_energies), shape(thermal_energies), [n], 'thermal_energies', text)
      if (present(friction)) settings%friction = friction
      if (present(integrator)) then
         select case (trim(integrator))
         case ('langevin')
            settings%integrator = fsn_langevin
         case ('verlet')
            settings%integrator = fsn_verlet
         case default
            call refuse('integrator is "'//trim(integrator)//'", must be one of langevin, verlet', text)
         end select
      end if
      if (present(masses)) call put(settings%masses, c_loc(masses), shape(masses), [atoms], 'masses', text)
      if (present(velocities)) &
         call put(settings%velocities, c_loc(velocities), shape(velocities), [3, atoms], 'velocities', text)
      if (present(seed)) settings%seed = seed
      if (present(streams)) then
         call put(settings%streams, c_loc(streams), shape(streams), [n], 'streams', text)
         if (any(streams < 0)) call refuse('streams must not be negative', text)
      end if
      if (present(exchange_interval)) then
         call check_count(exchange_interval, 'exchange_interval', text)
         settings%exchange_interval = exchange_interval
      end if
      if (present(ladders)) call put(settings%ladders, c_loc(ladders), shape(ladders), [n], 'ladders', text)
      if (present(largest_step)) settings%largest_step = largest_step
      status = fsn_success
      if (.not. allocated(text)) then
         made = c_null_ptr
         status = fsn_simulation_new(potential%get(), given, settings, made)
         if (status == fsn_success) then
            call self%set(made, fsn_simulation_free)
            call self%set_sizes([n, atoms, 1 + priors_of(potential)])
         end if
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Makes steps. A replica that blows up stands still from then on, and the others go on.
   subroutine run(self, steps, stat, errmsg)
      class(fsn_simulation), intent(in) :: self
      integer, intent(in) :: steps
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      character(:), allocatable :: text
      integer(c_int) :: status
      call check_count(steps, 'steps', text)
      status = fsn_success
      if (.not. allocated(text)) status = fsn_simulation_run(self%get(), int(steps, c_int64_t))
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Copies the state.
   subroutine get_state(self, steps, positions, velocities, forces, energies, kinetic_energies, term_energies, walkers, &
      frozen, stat, errmsg)
      class(fsn_simulation), intent(in) :: self
      !> Steps made so far.
      integer(int64), intent(inout), target, optional :: steps
      !> (3, atoms); velocities in the unit of length per ps.
      real(real64), intent(inout), contiguous, target, optional :: positions(:, :), velocities(:, :), forces(:, :)
      !> (replicas); with Langevin dynamics, kinetic energies are those in the middle of the last step.
      real(real64), intent(inout), contiguous, target, optional :: energies(:), kinetic_energies(:)
      !> (1 + priors, replicas): energy of the network, then of each prior.
      real(real64), intent(inout), contiguous, target, optional :: term_energies(:, :)
      !> (replicas): the replica, from 1, whose first configuration each has by now, after exchanges.
      integer(int32), intent(inout), contiguous, target, optional :: walkers(:)
      !> (replicas): the step that blew each up, or 0.
      integer(int64), intent(inout), contiguous, target, optional :: frozen(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_state) :: to
      character(:), allocatable :: text
      integer(c_int) :: status
      integer :: sizes(3)
      sizes = self%sizes()
      to%size = c_sizeof(to)
      if (present(steps)) to%steps = c_loc(steps)
      if (present(positions)) call put(to%positions, c_loc(positions), shape(positions), [3, sizes(2)], 'positions', text)
      if (present(velocities)) &
         call put(to%velocities, c_loc(velocities), shape(velocities), [3, sizes(2)], 'velocities', text)
      if (present(forces)) call put(to%forces, c_loc(forces), shape(forces), [3, sizes(2)], 'forces', text)
      if (present(energies)) call put(to%energies, c_loc(energies), shape(energies), [sizes(1)], 'energies', text)
      if (present(kinetic_energies)) &
         call put(to%kinetic_energies, c_loc(kinetic_energies), shape(kinetic_energies), [sizes(1)], 'kinetic_energies', text)
      if (present(term_energies)) &
         call put(to%term_energies, c_loc(term_energies), shape(term_energies), [sizes(3), sizes(1)], 'term_energies', text)
      if (present(walkers)) call put(to%walkers, c_loc(walkers), shape(walkers), [sizes(1)], 'walkers', text)
      if (present(frozen)) call put(to%frozen, c_loc(frozen), shape(frozen), [sizes(1)], 'frozen', text)
      status = fsn_success
      if (.not. allocated(text)) then
         status = fsn_simulation_get_state(self%get(), to)
         if (status == fsn_success .and. present(walkers)) walkers = walkers + 1
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> The pairs of neighbouring temperatures, and how often they exchanged.
   subroutine get_exchanges(self, pairs, stat, errmsg)
      class(fsn_simulation), intent(in) :: self
      type(fsn_exchanges), allocatable, intent(inout) :: pairs(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(fsn_state) :: to
      type(c_exchanges) :: from
      integer(c_size_t), target :: count
      type(fsn_exchanges), allocatable :: found(:)
      character(:), allocatable :: text
      integer(c_int) :: status
      integer(c_size_t) :: k
      to%size = c_sizeof(to)
      to%pairs = c_loc(count)
      count = 0
      status = fsn_simulation_get_state(self%get(), to)
      allocate (found(count))
      do k = 1, count
         from%size = c_sizeof(from)
         if (status == fsn_success) status = fsn_simulation_get_exchanges(self%get(), k - 1, from)
         found(k) = fsn_exchanges(int(from%colder) + 1, int(from%warmer) + 1, from%attempts, from%accepted)
      end do
      if (status == fsn_success) call move_alloc(found, pairs)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Why a replica, from 1, stands still; empty if it does not, or is not there.
   function reason(self, replica) result(text)
      class(fsn_simulation), intent(in) :: self
      integer, intent(in) :: replica
      character(:), allocatable :: text
      text = fortran_text(fsn_simulation_get_reason(self%get(), int(replica, c_size_t) - 1))
   end function

   !> All that the next step depends on.
   subroutine checkpoint(self, bytes, stat, errmsg)
      class(fsn_simulation), intent(in) :: self
      integer(int8), allocatable, intent(inout) :: bytes(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      integer(int8), allocatable, target :: made(:)
      character(:), allocatable :: text
      integer(c_int) :: status
      integer(c_size_t) :: length
      length = 0
      status = fsn_simulation_checkpoint(self%get(), c_null_ptr, length)
      if (status == fsn_success) then
         allocate (made(length))
         status = fsn_simulation_checkpoint(self%get(), c_loc(made), length)
         if (status == fsn_success) bytes = made(:length)
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Goes on from a checkpoint of a simulation that was told the same, to the bit; on an error it is as it was.
   subroutine restore(self, bytes, stat, errmsg)
      class(fsn_simulation), intent(in) :: self
      integer(int8), intent(in), contiguous, target :: bytes(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      character(:), allocatable :: text
      integer(c_int) :: status
      status = fsn_simulation_restore(self%get(), c_loc(bytes), size(bytes, kind=c_size_t))
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine
end module
