!> Molecules that the model's file does not have, and dynamics: dynamics MODEL, with one prior `p`, harmonic bonds by type, and
!> no network. Prints the positions of three replicas of a chain after 40 steps, or what is not as it should be.
program dynamics
   use flashschnet
   use, intrinsic :: iso_fortran_env, only: int32, int64, int8, real64
   implicit none
   integer :: failures = 0, number, stat, i
   character(1000) :: path
   character(:), allocatable :: errmsg
   type(fsn_model) :: model
   type(fsn_potential) :: potential
   type(fsn_simulation) :: simulation, other, none
   type(fsn_terms) :: terms(1)
   type(fsn_exchanges), allocatable :: pairs(:)
   integer(int8), allocatable :: bytes(:), nothing(:)
   integer(int32), parameter :: types(9) = [1, 2, 3, 1, 2, 3, 1, 2, 3], streams(3) = [4, 2, 7], ladders(3) = [0, 0, -1]
   integer, parameter :: counts(3) = 3
   real(real64), parameter :: thermal(3) = [0.5_real64, 0.6_real64, 0.7_real64]
   real(real64) :: start(3, 9), found(3, 9), again(3, 9), energies(3), kinetic(3), by_term(2, 3)
   integer(int32) :: walkers(3)
   integer(int64) :: frozen(3), steps

   call get_command_argument(1, path)
   do i = 0, 8
      start(:, i + 1) = [1.1_real64 * mod(i, 3), 0.1_real64 * i, 0._real64]
   end do
   call model%load(path)
   call potential%create(model, precision='double', threads=1)
   terms(1)%prior = 'p'
   terms(1)%atoms = reshape([1, 2, 3], [3, 1])
   call potential%add_topology(types(:3), terms, number, 'chain', stat, errmsg)
   call refused('invalid argument: terms of p has shape (3, 1), must be (2, 1)')
   terms(1)%atoms = reshape([1, 2, 2, 3], [2, 2])
   call none%run(1, stat, errmsg)
   call refused('invalid argument: simulation is a null pointer')
   call potential%add_topology(types(:3), terms, number, 'chain')
   call require(number == 2, 'it is the second molecule, after the file''s')
   terms(1)%prior = 'q'
   call potential%add_topology(types(:3), terms, number, stat=stat, errmsg=errmsg)
   call require(stat == fsn_invalid_argument .and. number == 2, 'an unknown prior is refused')
   if (allocated(errmsg)) deallocate (errmsg)

   call make(simulation)
   call simulation%run(20)
   call simulation%checkpoint(bytes)
   call simulation%run(20)
   call simulation%get_state(steps=steps, positions=found, energies=energies, kinetic_energies=kinetic, &
      term_energies=by_term, walkers=walkers, frozen=frozen)
   call require(steps == 40 .and. all(frozen == 0) .and. simulation%reason(1) == '', 'steps are made')
   call require(all(by_term(2, :) == energies) .and. all(kinetic > 0), 'energies are by term')
   call require(walkers(3) == 3 .and. sum(walkers) == 6, 'walkers are counted from 1')
   call simulation%get_exchanges(pairs)
   call require(size(pairs) == 1, 'there is one pair')
   call require(pairs(1)%colder == 1 .and. pairs(1)%warmer == 2 .and. pairs(1)%attempts > 0, 'which tries to exchange')
   call make(other)
   call other%restore(bytes)
   call other%run(20)
   call other%get_state(positions=again)
   call require(all(found == again), 'a checkpoint goes on to the bit')

   call other%restore(bytes(:size(bytes) - 1), stat, errmsg)
   call refused('invalid argument: the checkpoint is damaged or cut off')
   call none%checkpoint(nothing, stat, errmsg)
   call refused('invalid argument: simulation is a null pointer')
   call require(.not. allocated(nothing) .and. none%reason(1) == '', 'nothing is written')
   call simulation%run(-1, stat, errmsg)
   call refused('invalid argument: steps is -1, must not be negative')
   call simulation%get_state(energies=energies(:2), stat=stat, errmsg=errmsg)
   call refused('invalid argument: energies has shape (2), must be (3)')
   call none%create(potential, counts, start, types, 0._real64, thermal, friction=3._real64, stat=stat, errmsg=errmsg)
   call refused('invalid argument: timestep is 0, must be positive and finite')
   call none%create(potential, counts, start, types, 0.002_real64, thermal(:2), stat=stat, errmsg=errmsg)
   call refused('invalid argument: thermal_energies has shape (2), must be (3)')
   call none%create(potential, counts, start, types, 0.002_real64, thermal, integrator='leapfrog', stat=stat, errmsg=errmsg)
   call refused('invalid argument: integrator is "leapfrog", must be one of langevin, verlet')
   call none%create(potential, counts, start, types, 0.002_real64, thermal, streams=-streams, stat=stat, errmsg=errmsg)
   call refused('invalid argument: streams must not be negative')

   other = simulation
   call simulation%free()
   call other%get_state(positions=again)
   call require(all(found == again), 'a second handle is of the same simulation')
   print '(es24.16e3)', found
   ! A program's own variables are not given back by themselves.
   deallocate (bytes, pairs)
   if (failures > 0) error stop 1

contains

   subroutine make(made)
      type(fsn_simulation), intent(inout) :: made
      call made%create(potential, counts, start, types, 0.002_real64, thermal, friction=3._real64, seed=11_int64, &
         topologies=[2, 2, 2], streams=streams, exchange_interval=5, ladders=ladders)
   end subroutine

   subroutine require(holds, what)
      logical, intent(in) :: holds
      character(*), intent(in) :: what
      if (holds) return
      print '(2a)', 'NOT TRUE: ', what
      failures = failures + 1
   end subroutine

   subroutine refused(text)
      character(*), intent(in) :: text
      call require(stat == fsn_invalid_argument, 'status of: '//text)
      if (.not. allocated(errmsg)) then
         call require(.false., 'a text for: '//text)
      else
         call require(errmsg == text, text//' -- but it was -- '//errmsg)
         deallocate (errmsg)
      end if
   end subroutine
end program
